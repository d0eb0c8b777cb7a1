#!/usr/bin/env bash
# Installs loadlab with the extras $2 (may be empty) into the virtual environment $1, at the pinned versions.
# Downloads are shown as they happen; the whole of pip's output is kept in $1/install.log.
set -uo pipefail

venv=$1 extras=${2:-}
log=$venv/install.log
# Byte code is made when a module is first imported: a third less to write, and a quicker install.
"$venv/bin/python" -m pip --disable-pip-version-check install --no-compile --timeout 15 --retries 2 \
  -c constraints.txt -e ".${extras:+[$extras]}" 2>&1 \
  | tee "$log" | sed -un 's/^ *Downloading \([^ ]*-py[^ ]*\|[^ ]*\.whl\) (\(.*\))$/  \1 \2/p' >&2 && exit 0
grep -v '^WARNING' "$log" | tail -n 15 >&2
echo "loadlab: the install failed; all of pip's output is in $log. Check the network and 'pip config list'." >&2
exit 1
