"""What a terrain model takes of point records: places, returns and classes; no noise, nothing withheld."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from cbtool.partitioners.las import records as las
from cbtool.terrain.surfaces import NOISE, Points


def taken(records: las.Records, ground_classes: Sequence[int]) -> Points:
    """Return the points among *records* that a model is made of. Ground is what has one of *ground_classes*.

    A point whose return has no number (0) is taken for the only one of its pulse.
    """
    classes, number = las.classification(records), las.return_number(records)
    is_left_out = las.is_withheld(records)
    for one in NOISE:
        is_left_out |= classes == one
    x, y, z = (np.ascontiguousarray(records[axis]) for axis in "XYZ")
    found = Points(
        x,
        y,
        z,
        number <= 1,
        number >= las.number_of_returns(records),
        np.isin(classes, ground_classes),
    )
    return found.taken(~is_left_out)


def joined(blocks: Iterable[Points]) -> Points:
    """Return all points of *blocks*."""
    unit, mark = np.zeros(0, np.int32), np.zeros(0, np.bool_)
    some = [Points(unit, unit, unit, mark, mark, mark), *blocks]
    names = Points.__dataclass_fields__
    return Points(*(np.concatenate([getattr(block, name) for block in some]) for name in names))
