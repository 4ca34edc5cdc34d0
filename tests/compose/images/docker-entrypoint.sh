#!/usr/bin/env sh
# Does what the entry point of the published image does: options are Envoy's, and root becomes the
# user `envoy`, unless ENVOY_UID is 0.
set -e
case $1 in -*) set -- envoy "$@" ;; esac
if [ "$1" = envoy ] && [ "$(id -u)" = 0 ] && [ "${ENVOY_UID:-}" != 0 ]; then
  chown envoy:envoy /dev/stdout /dev/stderr 2>/dev/null || true
  exec setpriv --reuid envoy --regid envoy --clear-groups "$@"
fi
exec "$@"
