#!/bin/bash
# Behaves as the official image. The first start makes the data folder, with a server that listens on
# no address but its socket, so that whoever connects by TCP meets the real start.
set -Eeuo pipefail

# from_file NAME DEFAULT: NAME, or what is in the file that NAME_FILE names.
from_file() {
  local file=${1}_FILE
  if [ -n "${!1:-}" ] && [ -n "${!file:-}" ]; then
    echo "error: both $1 and $file are set (but are exclusive)" >&2
    exit 1
  fi
  if [ -n "${!file:-}" ]; then export "$1"="$(< "${!file}")"; else export "$1"="${!1:-${2:-}}"; fi
  unset "$file"
}

make_data() {
  local password
  if [ -z "$POSTGRES_PASSWORD" ] && [ "$POSTGRES_HOST_AUTH_METHOD" != trust ]; then
    echo "Error: Database is uninitialized and superuser password is not specified." >&2
    echo "       You must specify POSTGRES_PASSWORD, or POSTGRES_HOST_AUTH_METHOD=trust." >&2
    exit 1
  fi
  password=$(mktemp)
  printf '%s\n' "$POSTGRES_PASSWORD" > "$password"
  # Words of POSTGRES_INITDB_ARGS are meant to be split.
  # shellcheck disable=SC2086
  eval "initdb --username=\"\$POSTGRES_USER\" ${POSTGRES_PASSWORD:+--pwfile=\"\$password\"} $POSTGRES_INITDB_ARGS"
  rm -f -- "$password"
  printf '\nhost all all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-$(postgres -C password_encryption)}" \
    >> "$PGDATA/pg_hba.conf"
}

run_sql() {
  PGHOST='' PGHOSTADDR='' psql -v ON_ERROR_STOP=1 --no-psqlrc --no-password \
    --username "$POSTGRES_USER" "$@"
}

prepare_database() {
  local script
  PGUSER=$POSTGRES_USER pg_ctl -D "$PGDATA" -w start \
    -o "$(printf '%q ' "$@" -c listen_addresses= -p "${PGPORT:-5432}")"
  if [ "$POSTGRES_DB" != postgres ] \
    && [ -z "$(run_sql --dbname postgres --set db="$POSTGRES_DB" --tuples-only \
      <<< "SELECT 1 FROM pg_database WHERE datname = :'db';")" ]; then
    run_sql --dbname postgres --set db="$POSTGRES_DB" <<< 'CREATE DATABASE :"db";'
  fi
  for script in /docker-entrypoint-initdb.d/*; do
    case $script in
      *.sh) if [ -x "$script" ]; then "$script"; else . "$script"; fi ;;
      *.sql) run_sql --dbname "$POSTGRES_DB" -f "$script" ;;
      *.sql.gz) gunzip -c "$script" | run_sql --dbname "$POSTGRES_DB" ;;
    esac
  done
  pg_ctl -D "$PGDATA" -m fast -w stop
}

if [ "${1:0:1}" = - ]; then
  set -- postgres "$@"
fi
case "$* " in
  *" -? "* | *" --help "* | *" --describe-config "* | *" -V "* | *" --version "*) exec "$@" ;;
esac
if [ "$1" = postgres ]; then
  if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA"
    chmod 700 "$PGDATA"
    find "$PGDATA" /var/run/postgresql \! -user postgres -exec chown postgres '{}' +
    exec setpriv --reuid=postgres --regid=postgres --init-groups -- "$0" "$@"
  fi
  if [ ! -s "$PGDATA/PG_VERSION" ]; then
    from_file POSTGRES_PASSWORD
    from_file POSTGRES_USER postgres
    from_file POSTGRES_DB "$POSTGRES_USER"
    from_file POSTGRES_INITDB_ARGS
    : "${POSTGRES_HOST_AUTH_METHOD:=}"
    make_data
    export PGPASSWORD=$POSTGRES_PASSWORD
    shift
    prepare_database "$@"
    set -- postgres "$@"
    unset PGPASSWORD
    printf '\nPostgreSQL init process complete; ready for start up.\n\n'
  fi
fi
exec "$@"
