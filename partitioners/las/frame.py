"""Several files as one cloud: one scale and offset, one point format, one CRS; or the reason why they cannot be one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cbtool.errors import FormatError, UsageError
from cbtool.partitioners.las.extra_bytes import kept_as
from cbtool.partitioners.las.groups import LasFile
from cbtool.partitioners.las.header import GEO_KEYS, PROJECTION, RECORD_BYTES, WKT, Header
from cbtool.partitioners.las.records import Records, dtype_of

WAVEFORMS = (4, 5, 9, 10)
"""Point formats with waveforms."""
ADJUSTED_TIME = 0x01
"""The bit of the global encoding that says that GPS time counts from 1980 on, less 1e9 s, and not from each Sunday."""
INT32 = range(-(2**31), 2**31)
WIDER = {frozenset((0, 1)): 1, frozenset((0, 2)): 2, frozenset((6, 7)): 7, frozenset((6, 8)): 8, frozenset((7, 8)): 8}
"""The point format that holds what two others do, where it is one of them; of 0 to 3 all others are held by 3."""


@dataclass(frozen=True)
class Place:
    """How the integers of one file become the cloud's: x times *times* plus *plus*, for each axis."""

    times: tuple[int, int, int] = (1, 1, 1)
    plus: tuple[int, int, int] = (0, 0, 0)

    @property
    def is_same(self) -> bool:
        return self == Place()


@dataclass(frozen=True)
class Frame:
    """What all points of a cloud are given in."""

    scale: tuple[float, float, float]
    offset: tuple[float, float, float]
    point_format: int
    record_bytes: int

    @property
    def dtype(self) -> np.dtype[np.void]:
        return dtype_of(self.point_format, self.record_bytes)

    @property
    def n_extra(self) -> int:
        """Return how many extra bytes a record has."""
        return self.record_bytes - RECORD_BYTES[self.point_format]

    def shifts(self) -> tuple[int, int] | None:
        """Return what makes integers of world zero: offset over scale in x and y, or None if those are not whole."""
        found = [_exact(o) / _exact(s) for o, s in zip(self.offset, self.scale, strict=True)]
        return None if any(one.denominator != 1 for one in found[:2]) else (int(found[0]), int(found[1]))


def frame_of(files: Sequence[LasFile]) -> Frame:
    """Return the frame of the cloud that *files* are; UsageError if they are not one."""
    headers = [file.header for file in files]
    for file in files[1:]:
        _check_alike(files[0], file)
    point_format = _point_format(files)
    scale = [_scale([(header.scale[axis], header.offset[axis]) for header in headers]) for axis in range(3)]
    offset = headers[0].offset
    frame = Frame((scale[0], scale[1], scale[2]), offset, point_format, RECORD_BYTES[point_format] + headers[0].n_extra)
    for file in files:
        place_of(file.header, frame, file.where)
    return frame


def _scale(own: Sequence[tuple[float, float]]) -> float:
    """Return the greatest scale in which the integers of all (scale, offset) are whole, from the first offset on.

    Numbers are taken as they are written: 0.01 is a hundredth.
    """
    if len(set(own)) == 1:
        return own[0][0]
    parts = [abs(_exact(scale)) for scale, _ in own] + [_exact(offset) - _exact(own[0][1]) for _, offset in own]
    below = lcm(*(one.denominator for one in parts))
    return float(Fraction(gcd(*(int(one * below) for one in parts)), below))


def _exact(number: float) -> Fraction:
    return Fraction(repr(number))


def place_of(header: Header, frame: Frame, where: str) -> Place:
    """Return how the integers of a file become those of *frame*; FormatError if they do not, exactly."""
    if (header.scale, header.offset) == (frame.scale, frame.offset):
        return Place()
    times, plus = [], []
    for axis in range(3):
        ratio = _exact(header.scale[axis]) / _exact(frame.scale[axis])
        shift = (_exact(header.offset[axis]) - _exact(frame.offset[axis])) / _exact(frame.scale[axis])
        if ratio.denominator != 1 or shift.denominator != 1:
            raise FormatError(f"{where}: its scale and offset are not those of the cloud", hint="make the plan again")
        times.append(int(ratio))
        plus.append(int(shift))
    return Place((times[0], times[1], times[2]), (plus[0], plus[1], plus[2]))


def _point_format(files: Sequence[LasFile]) -> int:
    first = files[0]
    found = first.header.point_format
    for file in files[1:]:
        form = file.header.point_format
        if form == found:
            continue
        both = frozenset((found, form))
        wider = 3 if both <= {0, 1, 2, 3} else None
        found_wider = WIDER.get(both, wider)
        if found_wider is None:
            raise UsageError(
                f"{first.where} has point format {first.header.point_format}, {file.where} has {form}: "
                "they cannot be one cloud",
                hint="convert them to one: cbtool convert",
            )
        found = found_wider
    return found


def _check_alike(first: LasFile, other: LasFile) -> None:
    """Raise UsageError if the files differ in what cannot be reconciled."""
    a, b = first.header, other.header
    both = f"{first.where} and {other.where}"
    if a.n_extra != b.n_extra or kept_as(a) != kept_as(b):
        raise UsageError(f"{both} have different extra bytes: they cannot be one cloud")
    if {a.point_format, b.point_format} & set(WAVEFORMS):
        raise UsageError(f"{both} have waveforms, each its own: they cannot be one cloud", hint="one plan for each")
    if (a.global_encoding ^ b.global_encoding) & ADJUSTED_TIME and {a.point_format, b.point_format} - {0, 2}:
        raise UsageError(f"{both} count GPS time differently (of the week, adjusted): they cannot be one cloud")
    if not _same_crs(first, other):
        raise UsageError(
            f"{both} are in different coordinate systems, or one does not say in which: they cannot be one cloud",
            hint="reproject one of them first",
        )


def _crs_records(header: Header) -> list[tuple[int, bytes]]:
    keys = (WKT, GEO_KEYS)
    return [(vlr.record_id, vlr.data) for vlr in header.vlrs if vlr.user_id == PROJECTION and vlr.record_id in keys]


def _same_crs(first: LasFile, other: LasFile) -> bool:
    """Say whether two files are in one CRS: by the same records, or by what records in any place mean."""
    a, b = _crs_records(first.header), _crs_records(other.header)
    if a == b and (a or not (first.header.n_evlrs or other.header.n_evlrs)):
        return True
    from cbtool.crs import same
    from cbtool.partitioners.las.reference import crs_of_file

    one, two = crs_of_file(first), crs_of_file(other)
    if one is None or two is None:
        return one is two and a == b
    return same(one, two)


def check_fits(frame: Frame, place: Place, least: Sequence[int], most: Sequence[int], where: str) -> None:
    """Raise UsageError if points from *least* to *most* (x, y, z of the file's integers) overflow in the frame."""
    for axis in range(3):
        ends = [one[axis] * place.times[axis] + place.plus[axis] for one in (least, most)]
        if any(int(end) not in INT32 for end in ends):
            raise UsageError(
                f"{where}: its coordinates do not fit into 32 bits in steps of {frame.scale[axis]:g}, "
                "which all files together need",
                hint="rescale the files to one scale and offset first",
            )


def into(records: Records, place: Place, frame: Frame) -> Records:
    """Return *records* of a file in *place* as records of the frame; FormatError if a coordinate overflows."""
    if place.is_same and records.dtype == frame.dtype:
        return records
    names = records.dtype.names or ()
    if not set(names) <= set(frame.dtype.names or ()):
        raise FormatError("points of one format cannot be told in the other that all files share")
    made = np.zeros(len(records), frame.dtype)
    for name in names:
        made[name] = records[name]
    if not place.is_same:
        for axis, name in enumerate("XYZ"):
            made[name] = _moved(records[name], place.times[axis], place.plus[axis])
    return made


def _moved(values: NDArray[np.int32], times: int, plus: int) -> NDArray[np.int64]:
    moved: NDArray[np.int64] = values.astype(np.int64) * times + plus
    if len(moved) and not (int(moved.min()) in INT32 and int(moved.max()) in INT32):
        raise FormatError("a coordinate does not fit into 32 bits in the scale that all files share")
    return moved


def spatial(records: Records, place: Place) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return x and y of *records* of a file in *place*, in the frame's integers; of 32 bits if they are the file's."""
    x, y = np.ascontiguousarray(records["X"]), np.ascontiguousarray(records["Y"])
    if place.is_same:
        return x, y
    return x.astype(np.int64) * place.times[0] + place.plus[0], y.astype(np.int64) * place.times[1] + place.plus[1]
