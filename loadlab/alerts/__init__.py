"""Alerts: what is new in the store, told once to the channels of [alerts] in loadlab.toml."""
