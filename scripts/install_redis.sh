#!/bin/sh
# Installs the server that the tests of shared state start, where it is missing: Debian, Ubuntu and the like.
set -eu
if command -v redis-server >/dev/null || command -v valkey-server >/dev/null; then
    exit 0
fi
as_root=""
[ "$(id -u)" = 0 ] || as_root=sudo
$as_root apt-get update -q
$as_root apt-get install -q -y --no-install-recommends redis-server
