"""Cost formulas, pure. Money of one request is integer nano-USD; money of a level is USD."""

from __future__ import annotations

from decimal import Decimal

from loadlab.core.nouns import Price

_NANO_PER_USD = 10**9
_S_PER_HOUR = 3600.0


def tokens_nano_usd(
    price: Price | None, prompt_tokens: int | None, cached_tokens: int | None, output_tokens: int | None
) -> int | None:
    """What these tokens cost in nano-USD; None without a token price or without both counts.

    `cached_tokens` are part of `prompt_tokens`; where their number or price is unknown they cost as input.
    """
    if price is None or price.kind != "token" or prompt_tokens is None or output_tokens is None:
        return None
    if price.input_usd_per_mtok is None or price.output_usd_per_mtok is None:
        return None
    cached = min(cached_tokens or 0, prompt_tokens) if price.cached_input_usd_per_mtok is not None else 0
    cost = (
        (prompt_tokens - cached) * _nano_usd_per_token(price.input_usd_per_mtok)
        + cached * _nano_usd_per_token(price.cached_input_usd_per_mtok or 0.0)
        + output_tokens * _nano_usd_per_token(price.output_usd_per_mtok)
    )
    return round(cost)


def level_cost(
    price: Price | None,
    prompt_tokens: int | None,
    cached_tokens: int | None,
    output_tokens: int | None,
    window_s: float,
) -> float | None:
    """What a level cost in USD: its tokens, or the hardware for `window_s` seconds. None when unpriced."""
    if price is not None and price.kind == "hour":
        return None if price.usd_per_hour is None else price.usd_per_hour * window_s / _S_PER_HOUR
    nano_usd = tokens_nano_usd(price, prompt_tokens, cached_tokens, output_tokens)
    return None if nano_usd is None else nano_usd / _NANO_PER_USD


def usd_per_mtok(usd: float | None, tokens: int) -> float | None:
    """USD per million of these tokens; None when unpriced or when there are none."""
    return None if usd is None or tokens <= 0 else usd / tokens * 1e6


def _nano_usd_per_token(usd_per_mtok: float) -> Decimal:
    # Through str, so that 0.1 is a tenth and not its binary neighbour.
    return Decimal(str(usd_per_mtok)) * 1000
