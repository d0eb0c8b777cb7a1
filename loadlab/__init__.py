"""loadlab: load testing with cost and latency observability for LLM inference endpoints."""

__version__ = "0.1.0"
