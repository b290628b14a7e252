#!/bin/bash
# Behaves as the official image: root becomes user rabbitmq, which owns the data. RabbitMQ itself reads
# RABBITMQ_DEFAULT_USER, RABBITMQ_DEFAULT_PASS and RABBITMQ_DEFAULT_VHOST.
set -eu

if [[ $1 == rabbitmq* ]] && [ "$(id -u)" = 0 ]; then
  if [ "$1" = rabbitmq-server ]; then
    find /var/lib/rabbitmq \! -user rabbitmq -exec chown rabbitmq '{}' +
  fi
  exec setpriv --reuid=rabbitmq --regid=rabbitmq --init-groups -- "$0" "$@"
fi
for gone in RABBITMQ_DEFAULT_PASS_FILE RABBITMQ_DEFAULT_USER_FILE RABBITMQ_MANAGEMENT_SSL_CERTFILE RABBITMQ_VM_MEMORY_HIGH_WATERMARK; do
  if [ -n "${!gone:-}" ]; then
    echo "error: $gone is set but deprecated" >&2
    exit 1
  fi
done
exec "$@"
