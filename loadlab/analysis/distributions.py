"""Tails of the binomial and of Student's t, exact to 1e-10. Knows arithmetic, and nothing that was measured.

Both are the regularised incomplete beta function, by its continued fraction (Lentz).
"""

from __future__ import annotations

import math
from statistics import NormalDist

NORMAL = NormalDist()

_TINY = 1e-300
_CLOSE = 1e-15
_MOST_STEPS = 10_000
_HALVINGS = 80


def incomplete_beta(a: float, b: float, x: float) -> float:
    """I_x(a, b), the share of a beta distribution below x."""
    if x <= 0.0 or x >= 1.0:
        return float(x > 0.0)
    if x > (a + 1) / (a + b + 2):
        return 1.0 - incomplete_beta(b, a, 1 - x)
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(front) / (a * _fraction(a, b, x))


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction 1 + d1/(1 + d2/(1 + …)) of the incomplete beta function."""
    value, c, d = 1.0, 1.0, 0.0
    for step in range(1, _MOST_STEPS):
        term = _term(a, b, x, step)
        d = 1.0 / ((1.0 + term * d) or _TINY)
        c = (1.0 + term / c) or _TINY
        value *= c * d
        if abs(c * d - 1.0) < _CLOSE:
            break
    return value


def _term(a: float, b: float, x: float, step: int) -> float:
    m = step // 2
    if step % 2:
        return -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
    return m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))


def binomial_at_most(k: int, n: int, p: float) -> float:
    """P(X ≤ k) of n draws that each hit with chance p."""
    if k < 0 or k >= n:
        return float(k >= n)
    return incomplete_beta(n - k, k + 1, 1 - p)


def student_above(t: float, freedom: float) -> float:
    """P(T > t) of Student's t; `freedom` need not be whole. Infinite t is allowed."""
    if math.isinf(t):
        return float(t < 0)
    half = 0.5 * incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t))
    return half if t >= 0 else 1.0 - half


def student_quantile(p: float, freedom: float) -> float:
    """The t below which Student's t lies with chance p."""
    if p < 0.5:
        return -student_quantile(1 - p, freedom)
    low, high = 0.0, 2.0
    while student_above(high, freedom) > 1 - p:
        high *= 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if student_above(middle, freedom) > 1 - p else (low, middle)
    return (low + high) / 2
