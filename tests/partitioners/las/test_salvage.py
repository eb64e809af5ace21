"""What is left of files that are cut short or damaged: their whole chunks, as they were."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from cbtool.errors import FormatError
from cbtool.partitioners.las.groups import groups_of, open_las
from cbtool.partitioners.las.salvage import explained, salvage
from cbtool.source import LocalSource
from fixtures.clouds import CLOUDS
from fixtures.wrong_clouds import WRONG, patched, points_at
from tests.partitioners.gzip.conftest import BytesSource
from tests.partitioners.las.conftest import DATA, REAL, decoded, judged, made, opened

LEFT = {
    "cut_points.las": 1982,
    "cut.laz": 3_500,
    "cut_old.laz": 1_500,
    "cut_table.laz": 6_000,
    "cut.copc.laz": 2_895,
    "table_in_header.laz": 6_000,
    "table_behind_end.laz": 6_000,
    "table_of_many.laz": 6_000,
    "table_of_zeros.laz": 6_000,
    "points_of_zeros.laz": 3_500,
    "old_of_zeros.laz": 1_000,
    "page_of_itself.copc.laz": 6_000,
    "nodes_overlap.copc.laz": 6_000,
    "more_points.laz": 3_000,
}
FROM = {"cut_points.las": "format6.las", "cut_old.laz": "format3.laz", "old_of_zeros.laz": "format3.laz"}
FROM |= {"more_points.laz": "format6.laz", "page_of_itself.copc.laz": "paged.copc.laz"}
FROM |= {name: "uneven.copc.laz" for name in ("cut.copc.laz", "nodes_overlap.copc.laz")}


@pytest.mark.parametrize("name", LEFT)
def test_what_is_intact_is_kept(name: str) -> None:
    source = BytesSource(WRONG[name]())
    found = salvage(source)
    assert (found.n_points, found.file.header.n_points) == (LEFT[name], LEFT[name])
    assert found.groups.count.sum() == LEFT[name]
    kept = decoded(found.file, found.groups)
    whole = decoded(*opened(made(FROM.get(name, "uneven.laz"))))
    assert found.n_lost == len(whole) - len(kept) or name == "more_points.laz"
    if name in ("points_of_zeros.laz", "old_of_zeros.laz"):  # what lies behind the damage is kept too
        true = {one.tobytes() for one in whole}
        # Of a chunk of which only the end of a layer is damaged, other points decode: LAZ has no checksums.
        assert sum(one.tobytes() not in true for one in kept) <= 500 * (name == "points_of_zeros.laz")
    else:
        assert kept.tobytes() == whole[: len(kept)].tobytes()


@pytest.mark.parametrize("name", [name for name in CLOUDS if name.endswith(".laz") and not name.startswith("none")])
def test_a_chunk_table_that_is_lost_is_found_again(name: str) -> None:
    data = made(name)
    file, groups = opened(data)
    lost = patched(data, {points_at(data): struct.pack("<q", 1 << 40)})
    if file.header.is_copc:
        lost = patched(lost, {375 + 54 + 40: struct.pack("<Q", 1 << 40)})
    with pytest.raises(FormatError):
        groups_of(open_las(BytesSource(lost)))
    found = salvage(BytesSource(lost))
    assert found.n_lost == 0 and not found.file.header.is_copc
    for ours, theirs in ((found.groups.start, groups.start), (found.groups.length, groups.length)):
        assert np.array_equal(ours, theirs)
    assert np.array_equal(found.groups.count, groups.count)


@pytest.mark.parametrize("name", ["uneven.laz", "uneven.copc.laz", "format3.las", "format3.laz", "none.las", "one.laz"])
def test_of_a_file_that_is_sound_nothing_is_lost(name: str) -> None:
    file, groups = opened(made(name))
    found = salvage(BytesSource(made(name)))
    assert found.n_lost == 0 and found.file.header == file.header
    assert np.array_equal(found.groups.start, groups.start) and np.array_equal(found.groups.count, groups.count)


@pytest.mark.parametrize("share", range(5, 100, 10))
def test_wherever_it_is_cut_what_is_left_is_the_beginning(share: int) -> None:
    for name in ("format1.laz", "format8.laz"):
        data = made(name)
        short = data[: points_at(data) + (len(data) - points_at(data)) * share // 100]
        whole, groups = opened(data)
        n_whole = int(groups.count[groups.start + groups.length <= len(short)].sum())
        if n_whole:
            found = salvage(BytesSource(short))
            assert found.n_points == n_whole
            assert decoded(found.file, found.groups).tobytes() == decoded(whole, groups)[:n_whole].tobytes()
        else:
            with pytest.raises(FormatError, match="none of its 4000 points is intact"):
                salvage(BytesSource(short))


def test_extended_records_that_are_cut_short_are_lost() -> None:
    data = made("records.laz")
    found = salvage(BytesSource(data[:-100]))
    assert found.n_points == 4_000 and found.file.header.n_evlrs == 0


@pytest.mark.parametrize("name", ["cut_header.las", "many_vlrs.las", "nan_scale.las", "items.laz", "compressor.laz"])
def test_a_header_that_is_wrong_cannot_be_salvaged(name: str) -> None:
    with pytest.raises(FormatError):
        salvage(BytesSource(WRONG[name]()))


def test_the_error_says_how_much_is_intact() -> None:
    source = BytesSource(WRONG["cut.laz"]())
    with pytest.raises(FormatError) as caught:
        groups_of(open_las(source))
    said = explained(caught.value, source)
    assert str(said).endswith("; 3500 of its 6000 points are intact")
    assert said.hint == "cbtool convert --salvage keeps them"
    hopeless = BytesSource(WRONG["one_chunk.laz"]())
    assert explained(caught.value, hopeless) is caught.value


@pytest.mark.skipif(not REAL, reason="the files are not beside the checkout")
def test_a_real_file_that_was_cut() -> None:
    found = salvage(LocalSource(str(DATA / "hostile" / "truncated.laz")))
    whole = judged(DATA / "lasR_bcts_1.laz").points.array
    assert (found.n_points, found.n_lost) == (50_000, len(whole) - 50_000)
    assert decoded(found.file, found.groups).tobytes() == whole[:50_000].tobytes()


@pytest.mark.parametrize("path", [path for path in REAL if path.suffix == ".laz"], ids=lambda path: path.name)
def test_the_chunks_of_real_files_are_found_without_their_table(path: Path) -> None:
    """Also those that LASzip and PDAL wrote, by other encoders than lazrs."""
    file, groups = opened(path)
    lost = patched(path.read_bytes(), {file.header.points_at: struct.pack("<q", 1 << 50)})
    if file.header.is_copc:
        lost = patched(lost, {375 + 54 + 40: struct.pack("<Q", 1 << 40)})
    found = salvage(BytesSource(lost))
    assert np.array_equal(found.groups.start, groups.start) and np.array_equal(found.groups.length, groups.length)
    assert np.array_equal(found.groups.count, groups.count) and found.n_lost == 0
