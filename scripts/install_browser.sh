#!/usr/bin/env bash
# Debian's Chromium for the browser tests, and the library that Playwright's own Node.js needs, where root and apt are
# at hand. Never fails: what is missing makes those tests skip, with the reason.
set -uo pipefail

# axe-core (MPL-2.0) looks over the pages in tests; it is used as it is and travels with nothing.
if [ ! -f .loadlab/axe.min.js ]; then
  mkdir -p .loadlab
  if command -v npm >/dev/null && (cd .loadlab && npm pack --silent axe-core@4.14.1 >/dev/null 2>&1 &&
      tar -xzf axe-core-4.14.1.tgz --strip-components=1 package/axe.min.js && rm axe-core-4.14.1.tgz); then :; else
    echo "axe-core could not be fetched with npm; the accessibility tests will be skipped." >&2
  fi
fi

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
