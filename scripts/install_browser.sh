#!/usr/bin/env bash
# Debian's Chromium for the browser tests, where root and apt are at hand. Never fails: the tests skip with a reason.
set -uo pipefail

for name in chromium chromium-browser google-chrome; do
  command -v "$name" >/dev/null && exit 0
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "installing Debian's chromium for the browser tests" >&2
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium; } >/dev/null 2>&1 && exit 0
  echo "chromium could not be installed; the browser tests will be skipped." >&2
else
  echo "no chromium here; the browser tests will be skipped. To have them: sudo apt-get install chromium" >&2
fi
exit 0
