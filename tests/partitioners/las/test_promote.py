"""Points of old formats in new ones, beside laspy's conversion."""

from __future__ import annotations

import laspy
import numpy as np
import pytest

from cbtool.partitioners.las.promote import PROMOTED, promoted
from cbtool.partitioners.las.records import dtype_of
from fixtures.clouds import EXTRAS, terrain


def by_laspy(records: np.ndarray, old: int, new: int) -> np.ndarray:
    header = laspy.LasHeader(version="1.4", point_format=old)
    data = laspy.LasData(header, laspy.PackedPointRecord(records, header.point_format))
    found: np.ndarray = laspy.convert(data, point_format_id=new).points.array
    return found


@pytest.mark.parametrize("old", [0, 1, 2, 3, 4, 5, 9, 10])
def test_as_laspy_converts(old: int) -> None:
    records = terrain(2000, old)
    if old < 6:
        records["raw_classification"] = np.random.default_rng(1).choice([1, 2, 0xE5, 0x41, 0x9F], 2000)
        records["bit_fields"] ^= np.random.default_rng(2).integers(0, 256, 2000).astype(np.uint8) & 0xC0
    expected = by_laspy(records, old, PROMOTED[old])
    if old < 6:  # which laspy leaves at 0
        expected["scan_angle"] = np.rint(records["scan_angle_rank"] / 0.006)
    made = promoted(records, PROMOTED[old])
    assert made.tobytes() == expected.tobytes()


def test_scan_angles_are_in_units_of_their_own() -> None:
    records = np.zeros(5, dtype_of(0, 20))
    records["scan_angle_rank"] = [-90, -1, 0, 15, 90]
    assert promoted(records, 6)["scan_angle"].tolist() == [-15000, -167, 0, 2500, 15000]


def test_overlap_points_keep_their_class_and_get_the_flag() -> None:
    records = np.zeros(3, dtype_of(1, 28))
    records["raw_classification"] = [12, 12 | 0x80, 2]
    made = promoted(records, 6)
    assert made["classification"].tolist() == [12, 12, 2]
    assert made["classification_flags"].tolist() == [0x08, 0x0C, 0]


def test_extra_bytes_go_along() -> None:
    records = terrain(100, 3, extra=EXTRAS)
    n_extra = records.dtype.itemsize - 34
    records = records.view(dtype_of(3, records.dtype.itemsize))
    made = promoted(records, 7)
    assert made.dtype == dtype_of(7, 36 + n_extra)
    assert made["extra"].tobytes() == records["extra"].tobytes()


def test_points_that_are_right_already_are_left_alone() -> None:
    records = terrain(10, 7).view(dtype_of(7, 36))
    assert promoted(records, 7) is records
