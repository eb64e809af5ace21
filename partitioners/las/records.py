"""Point records as numpy sees them, by point format (ASPRS LAS 1.4 R15, section 2.5)."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Records = NDArray[np.void]
"""Point records, 1-D, of a dtype that `dtype_of` returns; their bytes are those of the file."""

PLACE = [("X", "<i4"), ("Y", "<i4"), ("Z", "<i4"), ("intensity", "<u2"), ("bit_fields", "u1")]
OLD = [
    *PLACE,
    ("raw_classification", "u1"),
    ("scan_angle_rank", "i1"),
    ("user_data", "u1"),
    ("point_source_id", "<u2"),
]
NEW = [
    *PLACE,
    ("classification_flags", "u1"),
    ("classification", "u1"),
    ("user_data", "u1"),
    ("scan_angle", "<i2"),
    ("point_source_id", "<u2"),
    ("gps_time", "<f8"),
]
GPS = [("gps_time", "<f8")]
RGB = [("red", "<u2"), ("green", "<u2"), ("blue", "<u2")]
NIR = [("nir", "<u2")]
WAVE = [
    ("wavepacket_index", "u1"),
    ("wavepacket_offset", "<u8"),
    ("wavepacket_size", "<u4"),
    ("return_point_wave_location", "<f4"),
    ("x_t", "<f4"),
    ("y_t", "<f4"),
    ("z_t", "<f4"),
]
FIELDS = (
    OLD,
    OLD + GPS,
    OLD + RGB,
    OLD + GPS + RGB,
    OLD + GPS + WAVE,
    OLD + GPS + RGB + WAVE,
    NEW,
    NEW + RGB,
    NEW + RGB + NIR,
    NEW + WAVE,
    NEW + RGB + NIR + WAVE,
)
GROUND = 2


@cache
def dtype_of(point_format: int, record_bytes: int) -> np.dtype[np.void]:
    """Return the dtype of the records of a point format; what is over its size is one field, ``extra``."""
    fields: list[Any] = list(FIELDS[point_format])
    extra = record_bytes - np.dtype(fields).itemsize
    if extra:
        fields.append(("extra", f"V{extra}"))
    return np.dtype(fields)


def is_new(records: Records) -> bool:
    """Say whether the records are of a point format of LAS 1.4 (6 to 10)."""
    return "classification" in (records.dtype.names or ())


def return_number(records: Records) -> NDArray[np.uint8]:
    """Return which of its pulse's returns each point is, from 1."""
    mask = 0x0F if is_new(records) else 0x07
    found: NDArray[np.uint8] = records["bit_fields"] & np.uint8(mask)
    return found


def number_of_returns(records: Records) -> NDArray[np.uint8]:
    """Return how many returns the pulse of each point has."""
    shift, mask = (4, 0x0F) if is_new(records) else (3, 0x07)
    found: NDArray[np.uint8] = records["bit_fields"] >> np.uint8(shift) & np.uint8(mask)
    return found


def classification(records: Records) -> NDArray[np.uint8]:
    """Return the class of each point, without flags."""
    if is_new(records):
        found: NDArray[np.uint8] = records["classification"]
        return found
    return np.asarray(records["raw_classification"] & np.uint8(0x1F), np.uint8)


def is_withheld(records: Records) -> NDArray[np.bool_]:
    """Say of each point whether it is flagged as withheld (deleted)."""
    field, bit = ("classification_flags", 0x04) if is_new(records) else ("raw_classification", 0x80)
    found: NDArray[np.bool_] = np.not_equal(records[field] & np.uint8(bit), 0)
    return found
