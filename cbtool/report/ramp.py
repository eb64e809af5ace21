"""Colours for densities: a few steps, even on a log scale, told apart by how light they are and so by every eye."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Rgb = tuple[int, int, int]

STEPS = 9
ANCHORS = {
    "light": ((0xEF, 0xEC, 0xB4), (0x63, 0xB5, 0xA4), (0x20, 0x74, 0x93), (0x2A, 0x1C, 0x5C)),
    "dark": ((0x2B, 0x29, 0x63), (0x22, 0x6E, 0x93), (0x57, 0xB1, 0xA0), (0xF4, 0xF1, 0xB0)),
    "terminal": ((0x4B, 0x46, 0x9E), (0x22, 0x7E, 0xA8), (0x57, 0xB1, 0xA0), (0xF4, 0xF1, 0xB0)),
}
"""From the least to the greatest density: yellow, teal, blue, indigo on light paper; the other way round on dark.

In terminals black lines must show on all of them.
"""
LEAST_RANGE = 1.01
"""Densities that differ by less than this ratio are drawn alike."""


def colours(theme: str) -> list[Rgb]:
    """Return the colour of each step, from the least density on."""
    anchors = ANCHORS[theme]
    found = []
    for step in range(STEPS):
        place = step * (len(anchors) - 1) / (STEPS - 1)
        i = min(int(place), len(anchors) - 2)
        one, other = anchors[i], anchors[i + 1]
        mixed = [round(a + (b - a) * (place - i)) for a, b in zip(one, other, strict=True)]
        found.append((mixed[0], mixed[1], mixed[2]))
    return found


def style() -> str:
    """Return the CSS of the steps, for light and dark: ``d0`` … fill, ``r0`` … stroke."""
    names = {
        theme: ";".join(f"--d{i}:#{r:02x}{g:02x}{b:02x}" for i, (r, g, b) in enumerate(colours(theme)))
        for theme in ("light", "dark")
    }
    fills = "".join(f"svg .d{i}{{fill:var(--d{i})}}svg .r{i}{{stroke:var(--d{i})}}" for i in range(STEPS))
    return f":root{{{names['light']}}}\n@media (prefers-color-scheme:dark){{:root{{{names['dark']}}}}}\n{fills}"


@dataclass(frozen=True)
class Ramp:
    """Steps from *low* to *high*, each the same times as high as the one before."""

    low: float
    high: float

    def step(self, density: float) -> int:
        """Return the step of a density above zero; the outer ones have all that lies beyond."""
        if self.high <= LEAST_RANGE * self.low:
            return STEPS // 2
        place = math.log(density / self.low) / math.log(self.high / self.low)
        return min(STEPS - 1, max(0, int(place * STEPS)))

    def edge(self, number: int) -> float:
        """Return where step *number* begins; that after the last is where it ends."""
        return self.low * math.pow(self.high / self.low, number / STEPS)


def ramp_of(densities: Sequence[float]) -> Ramp | None:
    """Return the steps for *densities*, but for their outermost hundredths; None if none is above zero."""
    above = sorted(one for one in densities if one > 0)
    if not above:
        return None
    beyond = len(above) // 100
    return Ramp(above[beyond], above[-1 - beyond])
