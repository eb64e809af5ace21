"""Numbers out of records that nobody has checked, and a line through points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

LARGEST = 1e18
LEAST_SPREAD = 1.2


def measure(value: object) -> float | None:
    """Return *value* if it is a number that a time, size or count can be; None otherwise.

    >>> measure(3), measure("3"), measure(-1), measure(True), measure(float("nan"))
    (3.0, None, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 <= value <= LARGEST and math.isfinite(value) else None


@dataclass(frozen=True)
class Fit:
    """The line y = *base* + *slope* x of least squares; *r2* is the share of the variance that it explains."""

    base: float
    slope: float
    r2: float


def fit(points: Sequence[tuple[float, float]], least_spread: float = LEAST_SPREAD) -> Fit | None:
    """Return the line through *points* by least squares.

    None if there are fewer than three, or if the largest x is not *least_spread* times the smallest: a slope
    over next to no width is noise.

    >>> fit([(1, 3), (2, 5), (3, 7)])
    Fit(base=1.0, slope=2.0, r2=1.0)
    """
    if len(points) < 3 or max(x for x, _ in points) < least_spread * min(x for x, _ in points):
        return None
    from statistics import fmean

    mean_x, mean_y = fmean(x for x, _ in points), fmean(y for _, y in points)
    xx = sum((x - mean_x) ** 2 for x, _ in points)
    if not xx:
        return None
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / xx
    base = mean_y - slope * mean_x
    total = sum((y - mean_y) ** 2 for _, y in points)
    left = sum((y - base - slope * x) ** 2 for x, y in points)
    return Fit(base, slope, 1 - left / total if total else 1.0)


def ticks(top: float, about: int = 6) -> list[float]:
    """Return round numbers from 0 to *top*, *about* as many as said, steps of 1, 2 or 5 times a power of ten.

    >>> ticks(10)
    [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    """
    if top <= 0:
        return [0.0]
    step = _step(top, about)
    return [round(i * step, 12) for i in range(int(top / step * (1 + 1e-9)) + 1)]


def labelled_ticks(low: float, high: float, about: int = 6) -> list[tuple[float, str]]:
    """Return round numbers between *low* and *high*, as `ticks` steps, each with as many decimal places as it takes.

    At least one, if it takes a finer step than is asked for.

    >>> labelled_ticks(635589.01, 635590.2, 3)
    [(635589.5, '635,589.5'), (635590.0, '635,590.0')]
    """
    if not high > low:
        return [(low, f"{low:,.10g}")]
    first, last, step = 1, 0, 1.0
    while last < first:
        step = _step(high - low, max(1, about))
        first, last, about = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9), 2 * max(1, about)
    places = max(0, -math.floor(math.log10(step) + 1e-9))
    return [(number * step, f"{number * step:,.{places}f}") for number in range(first, last + 1)]


def _step(length: float, about: int) -> float:
    rough = length / about
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * times for times in (1, 2, 5, 10) if power * times >= rough * 0.999)
