"""Token counts as vendors report them, made comparable. The one place that knows whose sums include what.

Here a prompt includes what was read from and written to a cache, and what audio and tools put into it; an
output includes reasoning and audio. What a vendor does not say stays None.
Source: the vendors' API references and the types of their SDKs, read 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

_ADDS_REASONING = ("citation_tokens", "num_search_queries", "search_context_size")


class Usage(NamedTuple):
    """What one request took, in tokens; cached, cache_write, audio_input and tool are part of prompt."""

    prompt_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    audio_input_tokens: int | None = None
    audio_output_tokens: int | None = None
    tool_tokens: int | None = None


UNKNOWN = Usage()


def openai(usage: Mapping[str, Any]) -> Usage:
    """Of OpenAI and those who speak as it does, in the words of chat or of responses."""
    into = usage.get("prompt_tokens_details") or usage.get("input_tokens_details") or _NOTHING
    out = usage.get("completion_tokens_details") or usage.get("output_tokens_details") or _NOTHING
    output = _first(usage, "completion_tokens", "output_tokens")
    reasoning = _first(out, "reasoning_tokens")
    if reasoning is None:
        reasoning = usage.get("reasoning_tokens")
    if any(name in usage for name in _ADDS_REASONING):  # Perplexity counts these apart
        output = total(output, reasoning, usage.get("citation_tokens"))
    cached = _first(into, "cached_tokens")
    return Usage(
        prompt_tokens=_first(usage, "prompt_tokens", "input_tokens"),
        output_tokens=output,
        cached_tokens=usage.get("prompt_cache_hit_tokens") if cached is None else cached,
        cache_write_tokens=into.get("cache_write_tokens"),
        reasoning_tokens=reasoning,
        audio_input_tokens=into.get("audio_tokens"),
        audio_output_tokens=out.get("audio_tokens"),
    )


def anthropic(usage: Mapping[str, Any]) -> Usage:
    """Of Anthropic, whose `input_tokens` leave the cache out."""
    cached, written = usage.get("cache_read_input_tokens"), usage.get("cache_creation_input_tokens")
    return Usage(
        prompt_tokens=total(usage.get("input_tokens"), cached, written),
        output_tokens=usage.get("output_tokens"),
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=(usage.get("output_tokens_details") or _NOTHING).get("thinking_tokens"),
    )


def bedrock(usage: Mapping[str, Any]) -> Usage:
    """Of Bedrock's Converse, whose `inputTokens` leave the cache out."""
    cached, written = usage.get("cacheReadInputTokens"), usage.get("cacheWriteInputTokens")
    return Usage(
        prompt_tokens=total(usage.get("inputTokens"), cached, written),
        output_tokens=usage.get("outputTokens"),
        cached_tokens=cached,
        cache_write_tokens=written,
    )


def gemini(usage: Mapping[str, Any]) -> Usage:
    """Of Gemini, which counts thoughts apart from candidates and tool results apart from the prompt."""
    thoughts, tools = usage.get("thoughtsTokenCount"), usage.get("toolUsePromptTokenCount")
    return Usage(
        prompt_tokens=total(usage.get("promptTokenCount"), tools),
        output_tokens=total(usage.get("candidatesTokenCount"), thoughts),
        cached_tokens=usage.get("cachedContentTokenCount"),
        reasoning_tokens=thoughts,
        audio_input_tokens=_of_audio(usage.get("promptTokensDetails")),
        audio_output_tokens=_of_audio(usage.get("candidatesTokensDetails")),
        tool_tokens=tools,
    )


def total(*parts: int | None) -> int | None:
    """The sum of what is known; None when the first, the count itself, is not."""
    if not isinstance(parts[0], int):
        return None
    return sum(part for part in parts if isinstance(part, int))


_NOTHING: Mapping[str, Any] = {}


def _first(usage: Mapping[str, Any], *names: str) -> int | None:
    return next((usage[name] for name in names if usage.get(name) is not None), None)


def _of_audio(details: Any) -> int | None:
    return next((part.get("tokenCount") for part in details or () if part.get("modality") == "AUDIO"), None)
