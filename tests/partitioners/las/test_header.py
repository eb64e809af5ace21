"""Headers, held against laspy's reading of them; and those that are refused."""

from __future__ import annotations

import struct

import pytest

from cbtool.errors import FormatError
from cbtool.partitioners.las.groups import evlr_ranges, open_las
from cbtool.partitioners.las.header import parse_evlrs
from fixtures.clouds import CLOUDS
from fixtures.wrong_clouds import WRONG, patched
from tests.partitioners.gzip.conftest import BytesSource
from tests.partitioners.las.conftest import judged, made, opened

REFUSED = {
    "cut_header.las": "its points begin at byte 1063, and it has 300 bytes",
    "cut_points.las": "its header says 4000 points, and there are bytes for 1982",
    "cut.copc.laz": "extended records cannot lie at byte",
    "many_vlrs.las": "4294967295 variable length records do not fit",
    "vlr_into_points.las": "record 0 of 1 has 65535 bytes, and runs into the points",
    "points_before_header.las": "its points cannot begin at byte 100",
    "points_behind_end.las": "its points cannot begin at byte 2147483647",
    "small_header.las": "a header of 227 bytes; LAS 1.4 has 375",
    "point_format_11.las": "point format 11",
    "short_records.las": "records of 20 bytes; point format 6 has 30",
    "more_points.las": "its header says 4611686018427387904 points",
    "nan_scale.las": "make no coordinates",
    "no_scale.las": "make no coordinates",
    "evlrs_behind_end.las": "3 extended records cannot lie at byte 1152921504606846976",
    "many_evlrs.las": "4294967295 extended records cannot lie",
    "no_laszip.laz": "it has no laszip record",
    "items.laz": "its laszip record is not of records of 30 bytes",
    "compressor.laz": "LASzip's way 1, which has no chunks",
    "chunks_of_none.laz": "chunks of no points",
}


@pytest.mark.parametrize("name", CLOUDS)
def test_a_header_is_read_as_laspy_does(name: str) -> None:
    file, _ = opened(made(name))
    header, other = file.header, judged(made(name)).header
    assert (header.minor, header.point_format) == (other.version.minor, other.point_format.id)
    assert (header.record_bytes, header.n_points) == (other.point_format.size, other.point_count)
    assert header.scale == tuple(other.scales) and header.offset == tuple(other.offsets)
    assert header.least == tuple(other.mins) and header.most == tuple(other.maxs)
    assert header.by_return == tuple(other.number_of_points_by_return[: len(header.by_return)])
    assert [vlr.key for vlr in header.vlrs if vlr.key[0] != "laszip encoded"] == [
        (vlr.user_id, vlr.record_id) for vlr in other.vlrs if vlr.user_id != "laszip encoded"
    ]
    assert header.is_copc == (".copc." in name)
    assert header.n_evlrs == len(other.evlrs or ())
    assert file.source.meter.requests <= 5 + 20 * header.is_copc


def test_extended_records_are_where_they_say() -> None:
    file, _ = opened(made("records.laz"))
    ranges = evlr_ranges(file)
    found = [parse_evlrs(file.source.read(*one), one[0], 1, "here")[0] for one in ranges]
    assert [(vlr.key, len(vlr.data)) for vlr in found] == [(("somebody", 99), 70_000), (("other", 1), 0)]
    assert all(file.source.read(vlr.at, len(vlr.data)) == vlr.data for vlr in found)


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_header_is_refused(name: str) -> None:
    with pytest.raises(FormatError, match=REFUSED[name]):
        open_las(BytesSource(WRONG[name]()))


def test_the_count_of_before_holds_where_the_new_one_is_empty() -> None:
    data = patched(made("version14.las"), {247: bytes(8), 255: bytes(120)})
    file, _ = opened(data)
    assert file.header.n_points == 4_000 and sum(file.header.by_return) == 4_000


@pytest.mark.parametrize("length", [0, 3, 100, 226])
def test_a_head_of_few_bytes_is_no_cloud(length: int) -> None:
    with pytest.raises(FormatError, match="not a LAS file|its header is cut short"):
        open_las(BytesSource(made("format6.las")[:length]))


def test_a_version_nobody_has_defined_is_refused() -> None:
    for version in (struct.pack("BB", 1, 5), struct.pack("BB", 2, 0)):
        with pytest.raises(FormatError, match="which nobody has defined"):
            open_las(BytesSource(patched(made("format6.las"), {24: version})))
