#!/bin/sh
# Behaves as the official image: options go to redis-server, which runs as user redis and owns /data.
set -e

if [ "${1#-}" != "$1" ] || [ "${1%.conf}" != "$1" ]; then
  set -- redis-server "$@"
fi
if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
  find . \! -user redis -exec chown redis '{}' +
  exec setpriv --reuid=redis --regid=redis --init-groups -- "$0" "$@"
fi
if [ "$(umask)" = 0022 ]; then
  umask 0077
fi
if [ "$1" = redis-server ]; then
  # The official binary is compiled with protected mode off. Said before the given options, so
  # that they can say otherwise; a configuration file has to stay the first argument.
  shift
  case "$1" in
    -v | --version | -h | --help | --test-memory | --check-system) exec redis-server "$@" ;;
    "" | -*) exec redis-server --protected-mode no "$@" ;;
    *) file=$1 && shift && exec redis-server "$file" --protected-mode no "$@" ;;
  esac
fi
exec "$@"
