#!/bin/bash
# Builds the stand-ins of the official images that this machine lacks. README.md says when and why.
#
# usage: build.sh [--all | FOLDER...]      default: the folders beside this file that the gate needs
set -euo pipefail

here=$(cd -- "$(dirname -- "$0")" && pwd)
label=gameday.stand-in

# header KEY DOCKERFILE: the value of a "# KEY: value" line at the top of a Dockerfile.
header() {
  sed -n "s/^# $1: //p" "$2" | head -n 1
}

# The hash of everything that decides what is in the image.
fingerprint() {
  (
    cd -- "$here/$1"
    find . -type f -print0 | sort -z | xargs -0 sha256sum
    sha256sum < "$here/build.sh"
    if [ -n "${SSL_CERT_FILE:-}" ]; then sha256sum < "$SSL_CERT_FILE"; fi
  ) | sha256sum | cut -c 1-16
}

# rootfs SUITE PACKAGES: the name of an image of Debian with these packages, made when it is not there.
rootfs() {
  local suite=$1 packages=$2 name
  name=gameday-stand-in/$suite:$(printf '%s' "$packages" | sha256sum | cut -c 1-16)
  if ! docker image inspect "$name" > /dev/null 2>&1; then
    mmdebstrap --quiet --variant=minbase --include="${packages// /,}" \
      --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
      "$suite" - | docker import - "$name" > /dev/null
  fi
  printf '%s' "$name"
}

build() {
  local folder=$1 dockerfile=$here/$1/Dockerfile name suite packages wanted found context log
  name=$(header image "$dockerfile")
  suite=$(header suite "$dockerfile")
  packages=$(header packages "$dockerfile")
  wanted=$(fingerprint "$folder")

  # An image of this name without our label is the real one, and better than a stand-in.
  if found=$(docker image inspect -f "{{index .Config.Labels \"$label\"}}" "$name" 2> /dev/null); then
    if [ -z "$found" ] || [ "$found" = "$wanted" ]; then
      echo "$name: there (${found:-not a stand-in})"
      return
    fi
  fi

  context=$(mktemp -d)
  # shellcheck disable=SC2064  # the name is fixed now
  trap "rm -rf -- '$context'" RETURN
  cp -r -- "$here/$folder/." "$context"
  if [ -x "$context/prepare" ]; then
    "$context/prepare" "$context"
  fi
  if [ "$(header ca-bundle "$dockerfile")" = yes ] && [ -n "${SSL_CERT_FILE:-}" ]; then
    cp -L -- "$SSL_CERT_FILE" "$context/host-ca.crt"
    cat >> "$context/Dockerfile" << 'TRUST'
COPY host-ca.crt /etc/ssl/host-ca.crt
ENV SSL_CERT_FILE=/etc/ssl/host-ca.crt PIP_CERT=/etc/ssl/host-ca.crt REQUESTS_CA_BUNDLE=/etc/ssl/host-ca.crt
TRUST
  fi
  if ! log=$(docker build --label "$label=$wanted" --tag "$name" \
    ${packages:+--build-arg "ROOTFS=$(rootfs "${suite:-bookworm}" "$packages")"} "$context" 2>&1); then
    printf '%s\n' "$log" >&2
    return 1
  fi
  echo "$name: built ($wanted)"
}

cd -- "$here"
if [ $# -eq 0 ]; then
  mapfile -t gate < <(grep -L '^# full: yes' -- */Dockerfile)
  set -- "${gate[@]}"
elif [ "$1" = --all ]; then
  set -- */Dockerfile
fi
# Side by side: each waits for packages, and for one core, most of its time.
jobs=()
for folder in "$@"; do
  build "${folder%/Dockerfile}" &
  jobs+=("$!")
done
status=0
for job in "${jobs[@]}"; do
  wait "$job" || status=1
done
exit "$status"
