#!/bin/sh
# Installs the browser that tests/mockserver/test_ui.py drives, where it is missing: Debian, Ubuntu and the like.
set -eu
if command -v chromedriver >/dev/null && { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null; then
    exit 0
fi
as_root=""
[ "$(id -u)" = 0 ] || as_root=sudo
$as_root apt-get update -q
$as_root apt-get install -q -y --no-install-recommends chromium chromium-driver
