"""These are packages of others, with tests of their own: collected where they are installed."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("loadlab_acme") else ["loadlab-acme/*"]
