#!/bin/sh
# The browser tests drive Debian's Chromium. Install it where we may; with --remind, only say when it is missing.
set -eu
command -v chromium >/dev/null && exit 0
if [ "${1:-}" = --remind ]; then
  echo "The browser tests did not run: Chromium is missing. Install it with: apt-get install chromium"
  exit 0
fi
[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || exit 0
echo "Installing Chromium for the browser tests …"
{ apt-get update -q && apt-get install -qy chromium; } >/dev/null 2>&1 || echo "Chromium could not be installed: the browser tests will not run." >&2
