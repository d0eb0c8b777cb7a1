#!/usr/bin/env bash
# Makes the virtual environment $1 with the first Python 3.11 or newer ($PYTHON wins over the search).
set -euo pipefail

venv=$1
stop() { printf 'loadlab: %s\n' "$*" >&2; exit 1; }
new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# 3.11 comes first: constraints.txt was resolved with it.
for candidate in ${PYTHON:-python3.11 python3 python3.12 python3.13 python3.14}; do
  if new_enough "$candidate"; then python=$candidate; break; fi
done
[ -n "${python:-}" ] || stop "no Python 3.11 or newer found. Install one, or name it: make setup PYTHON=/path/to/python3"

if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  package="$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null \
    || stop "$python cannot make virtual environments; run: sudo apt-get install $package"
  echo "installing Debian's $package" >&2
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$package" >/dev/null \
    || stop "apt-get could not install $package; install it by hand and try again."
fi

echo "making $venv with $("$python" --version)" >&2
"$python" -m venv "$venv" || stop "'$python -m venv $venv' failed; see the lines above."
