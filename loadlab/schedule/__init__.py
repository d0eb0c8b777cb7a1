"""Commands at planned times: read from loadlab.toml, carried out one after the other, written down.

A job is an ordinary `loadlab …` of its own process. What it measures is not this room's business.
"""
