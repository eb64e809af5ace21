"""Groups of points: each decodes alone, and together they are the file, as laspy and copclib read it."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cbtool.errors import FormatError
from cbtool.partitioners.las.codec import PLACES
from cbtool.partitioners.las.copc import footprints, info_of
from cbtool.partitioners.las.groups import decode_groups, groups_of, open_las
from cbtool.partitioners.las.records import classification, is_withheld, return_number
from fixtures.wrong_clouds import WRONG, patched, points_at
from tests.partitioners.gzip.conftest import BytesSource
from tests.partitioners.las.conftest import EVERY, content, decoded, judged, made, name_of, opened

REFUSED = {
    "cut.laz": "its chunk table should be at byte",
    "cut_old.laz": "its chunk table should be at byte",
    "cut_table.laz": "do not decode|does not fit",
    "more_points.laz": "its chunk table has 3 chunks for 1099511627776 points",
    "fewer_points.laz": "its chunk table has 3 chunks for 10 points",
    "one_chunk.laz": "its chunk table has 3 chunks for 4000 points",
    "table_in_header.laz": "its chunk table should be at byte 10",
    "table_behind_end.laz": "its chunk table should be at byte 1152921504606846976",
    "table_of_many.laz": "its chunk table has 4294967295 chunks",
    "table_of_zeros.laz": "its chunk table has 0 chunks",
    "page_of_itself.copc.laz": "a page of its hierarchy names itself",
    "page_behind_end.copc.laz": "a page of its hierarchy cannot lie",
    "huge_page.copc.laz": "a page of its hierarchy cannot lie",
    "node_behind_end.copc.laz": "a node that cannot be",
    "nodes_overlap.copc.laz": "nodes that lie over one another",
    "huge_node.copc.laz": "its hierarchy holds 2147489147 points",
    "no_cube.copc.laz": "describes no cube",
}


@pytest.mark.parametrize("one", EVERY, ids=name_of)
def test_groups_are_all_points(one: str | Path) -> None:
    data = content(one)
    file, groups = opened(data)
    theirs = judged(data)
    assert groups.count.sum() == file.header.n_points == len(theirs.points)
    if not len(groups):
        return
    ours = decoded(file, groups)
    assert ours.tobytes() == theirs.points.array.tobytes()
    assert np.array_equal(return_number(ours), theirs.return_number)
    assert np.array_equal(classification(ours), theirs.classification)
    assert np.array_equal(is_withheld(ours), np.asarray(theirs.withheld, bool))
    assert (groups.start[1:] >= groups.start[:-1] + groups.length[:-1]).all()


@pytest.mark.parametrize("name", REFUSED)
def test_a_table_that_lies_is_refused(name: str) -> None:
    file = open_las(BytesSource(WRONG[name]()))
    with pytest.raises(FormatError, match=REFUSED[name]):
        groups_of(file)


def test_how_many_reads_it_takes() -> None:
    for name, n in (("format6.las", 0), ("uneven.laz", 3), ("at_end.laz", 4), ("uneven.copc.laz", 1)):
        file = open_las(BytesSource(made(name)))
        before = file.source.meter.requests
        assert len(groups_of(file)) and file.source.meter.requests == before + n, name


def test_only_the_pages_of_wanted_nodes_are_read() -> None:
    file = open_las(BytesSource(made("paged.copc.laz")))
    info = info_of(file.header, file.source.size, "here")
    x0, y0 = info.centre[0] - info.halfsize, info.centre[1] - info.halfsize
    corner: Callable[..., np.ndarray] = lambda boxes: (boxes[:, 0] < x0 + 1) & (boxes[:, 1] < y0 + 1)  # noqa: E731
    whole = groups_of(file)
    before = file.source.meter.bytes
    some = groups_of(file, corner)
    assert file.source.meter.bytes - before < 32 * len(whole)
    assert whole.nodes is not None and some.nodes is not None
    kept = corner(footprints(whole.nodes, info))
    assert np.array_equal(some.nodes, whole.nodes[kept]) and 1 < len(some) < len(whole)


def test_a_node_of_the_fixtures_holds_what_lies_in_its_cube() -> None:
    for name in ("uneven.copc.laz", "paged.copc.laz", "heavy.copc.laz"):
        file, groups = opened(made(name))
        assert groups.nodes is not None
        info = info_of(file.header, file.source.size, "here")
        boxes = footprints(groups.nodes, info)
        for box, start, length, count in zip(boxes, groups.start, groups.length, groups.count, strict=True):
            data = file.source.read(int(start), int(length))
            records = decode_groups(file, data, [int(count)], [int(length)])
            for axis, field in enumerate("XY"):
                ends = (box[axis::2] - file.header.offset[axis]) / file.header.scale[axis]
                assert (records[field] >= round(ends[0])).all() and (records[field] < round(ends[1])).all()


def test_a_selection_leaves_the_rest_as_in_the_first_point() -> None:
    file, groups = opened(made("flagged.laz"))
    data = file.source.read(int(groups.start[0]), int(groups.length[0]))
    some = decode_groups(file, data, groups.count.tolist(), groups.length.tolist(), PLACES)
    all_of_it = decoded(file, groups)
    for field in ("X", "Y", "Z", "bit_fields", "classification", "classification_flags"):
        assert np.array_equal(some[field], all_of_it[field])
    for field in ("gps_time", "intensity", "user_data"):
        assert (some[field] == all_of_it[field][0]).all() and (all_of_it[field] != all_of_it[field][0]).any()


def test_a_chunk_that_would_take_too_much_memory_is_refused() -> None:
    data = made("one.laz")
    laszip = data.index(b"laszip encoded") - 2 + 54
    n = 0x7FFFFFFF
    huge = patched(data, {laszip + 12: struct.pack("<I", n), 107: struct.pack("<I", n), 111: struct.pack("<I", n)})
    file = open_las(BytesSource(huge))
    with pytest.raises(FormatError, match="a chunk of 2147483647 points takes 60129542116 bytes at once"):
        groups_of(file)


def test_empty_chunks_are_left_out() -> None:
    """Of chunks of different sizes some may hold nothing."""
    import lazrs

    from fixtures.las_files import VARIABLE, laszip

    data = made("uneven.laz")
    file, groups = opened(data)
    record = laszip(6, 0, VARIABLE)
    table_at = struct.unpack_from("<q", data, points_at(data))[0]
    table = io.BytesIO()
    chunks = [*zip(groups.count.tolist(), groups.length.tolist(), strict=True)]
    junk = b"8 bytes!"
    lazrs.write_chunk_table(table, [*chunks[:3], (0, len(junk)), *chunks[3:]], lazrs.LazVlr(record))
    cut = int(groups.start[3])
    where = data.index(b"laszip encoded") - 2 + 54
    made_up = patched(data, {where: record, points_at(data): struct.pack("<q", table_at + len(junk))})
    made_up = made_up[:cut] + junk + made_up[cut:table_at] + table.getvalue()
    other, found = opened(made_up)
    assert np.array_equal(found.count, groups.count)
    assert decoded(other, found).tobytes() == decoded(file, groups).tobytes()
