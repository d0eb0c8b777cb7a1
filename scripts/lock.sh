#!/usr/bin/env bash
# Resolves pyproject.toml afresh and writes constraints.txt. Run it on purpose, with Python 3.11, and read the diff.
#   scripts/lock.sh            the newest versions that pyproject.toml allows; torch stays as pinned
#   scripts/lock.sh 2.14.0     the same with another torch
set -euo pipefail
cd "$(dirname "$0")/.."

torch=${1:-$(sed -n 's/^torch==//p' constraints.txt)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"${PYTHON:-python3.11}" -m venv "$work/venv"
pip="$work/venv/bin/pip --disable-pip-version-check -q"
$pip install --no-compile "torch==$torch+cpu" \
  || $pip install --no-compile "torch==$torch+cpu" --extra-index-url https://download.pytorch.org/whl/cpu
$pip install --no-compile -e ".[server,kernels,postgres,aws,gcp,otel,dev]"

{
  echo "# Every version that loadlab and its extras (server, kernels, postgres, aws, gcp, otel, dev) were tested with, for Python 3.11."
  echo "# Written by scripts/lock.sh on $(date -u +%F); do not edit. Why not a lock file: docs/decisions/0003-*.md"
  # The build tag goes: the same line must admit the CPU and the CUDA build of torch.
  "$work/venv/bin/pip" freeze --all --exclude pip --exclude-editable | sed 's/+cpu$//'
} > "$work/constraints.txt"
mv "$work/constraints.txt" constraints.txt
