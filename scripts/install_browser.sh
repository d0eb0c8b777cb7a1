#!/usr/bin/env bash
# Debian's Chromium for the browser tests, and the library that Playwright's own Node.js needs, where root and apt are
# at hand. Never fails: what is missing makes those tests skip, with the reason.
set -uo pipefail

there() {
  command -v chromium || command -v chromium-browser || command -v google-chrome
} >/dev/null
linked() { /sbin/ldconfig -p | grep -q libatomic.so.1; }

there && linked && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "installing Debian's chromium and libatomic1 for the browser tests" >&2
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update -qq && apt-get install -y -qq chromium libatomic1; } >/dev/null 2>&1 && exit 0
  echo "they could not be installed; the browser tests will be skipped." >&2
else
  echo "the browser tests will be skipped; to have them: sudo apt-get install chromium libatomic1" >&2
fi
exit 0
