"""Survey, and decoding from every place that it finds to every other."""

from __future__ import annotations

import gzip
import random
import shutil
import subprocess
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from isal import isal_zlib

from cbtool.errors import FormatError
from cbtool.partitioners.gzip.inflate import Checkpoint, decode
from cbtool.partitioners.gzip.survey import Survey
from cbtool.partitioners.gzip.windows import unpack_window
from cbtool.source import LocalSource, Source

Of = Callable[[bytes], Source]
DATA = Path(__file__).parents[4] / "shared" / "data" / "genomics"
REAL = sorted([*DATA.glob("*/*.gz"), *DATA.glob("*/*.bgz"), *DATA.glob("*/*.bam")])


def text(size: int, seed: int = 0) -> bytes:
    """Return records of a kind that compresses as reads do."""
    rng = random.Random(seed)
    record = b"".join(
        b"@r%d\n%s\n+\n%s\n" % (i, bytes(rng.choices(b"ACGT", k=80)), bytes(rng.choices(b"FFFF:,#", k=80)))
        for i in range(-(-size // 170))
    )
    return record[:size]


def member(content: bytes, level: int = 6, strategy: int = 0, flush: int | None = None, header: bytes = b"") -> bytes:
    """Compress *content* as one member, flushed every 5000 bytes with *flush*."""
    deflate = zlib.compressobj(level, zlib.DEFLATED, -15, 5, strategy)
    data = header or b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
    for at in range(0, len(content), 5000):
        data += deflate.compress(content[at : at + 5000]) + (deflate.flush(flush) if flush is not None else b"")
    return data + deflate.flush() + trailer(content)


def trailer(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(4, "little") + (len(content) & 0xFFFFFFFF).to_bytes(4, "little")


def survey(source: Source, spacing: int = 300) -> tuple[bytes, Survey]:
    one = Survey(source, spacing)
    return b"".join(one.blocks()), one


def checkpoint(found: tuple[int, int, bytes | None]) -> Checkpoint:
    return Checkpoint(found[0], None if found[2] is None else unpack_window(found[2]))


def decoded(data: bytes, start: Checkpoint, end: tuple[int, bool] | None, feed: int) -> bytes:
    """Decode a range that is handed over *feed* bytes at a time."""
    part = data[start.bit // 8 : -(-end[0] // 8) if end else None]
    feed = max(feed, len(part) // 2000)
    return b"".join(decode((part[at : at + feed] for at in range(0, len(part), feed)), start, end, "memory"))


contents = st.lists(
    st.one_of(
        st.binary(max_size=500),
        st.builds(text, st.integers(0, 60_000), st.integers(0, 9)),
        st.builds(lambda size, seed: random.Random(seed).randbytes(size), st.integers(0, 40_000), st.integers(0, 9)),
        st.builds(lambda byte, size: bytes([byte]) * size, st.integers(0, 255), st.integers(0, 100_000)),
    ),
    max_size=3,
).map(b"".join)
by_zlib = st.builds(
    member,
    contents,
    st.integers(0, 9),
    st.sampled_from([zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE, zlib.Z_FILTERED]),
    st.sampled_from([None, zlib.Z_FULL_FLUSH, zlib.Z_SYNC_FLUSH]),
    st.sampled_from([b"", b"\x1f\x8b\x08\x08\0\0\0\0\0\xffreads.fq\0", b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\4\0AB\0\0"]),
)
by_isal = st.builds(
    lambda content, level: b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + isal_zlib.compress(content, level, -15) + trailer(content),
    contents,
    st.integers(0, 3),
)
files = st.lists(st.one_of(by_zlib, by_isal), min_size=1, max_size=4).map(b"".join)


@settings(max_examples=60, deadline=None)
@given(files, st.integers(1, 5000), st.sampled_from([1, 100, 4096, 1 << 20]), st.integers(0, 600))
def test_any_two_checkpoints_enclose_their_part_of_the_output(
    source_of: Of, data: bytes, spacing: int, feed: int, n_zeros: int
) -> None:
    want = gzip.decompress(data)
    data += bytes(n_zeros)
    got, one = survey(source_of(data), spacing)
    assert got == want
    found = one.checkpoints()
    assert one.found() == found
    assert one.found() == []
    picked = found if len(found) <= 6 else sorted(random.Random(0).sample(found, 6))
    for i, start in enumerate(picked):
        for end in picked[i:]:
            part = decoded(data, checkpoint(start), (end[0], end[2] is not None), feed)
            assert part == want[start[1] : end[1]]
        assert decoded(data, checkpoint(start), None, feed) == want[start[1] :]


@pytest.mark.parametrize("n_members", [1, 3])
def test_a_truncated_file_is_refused_wherever_it_ends(source_of: Of, n_members: int) -> None:
    one = member(text(700), flush=zlib.Z_FULL_FLUSH)
    data = one * n_members
    for end in range(len(data)):
        if end and end % len(one) == 0:
            continue
        with pytest.raises(FormatError, match="truncated|no gzip member") as error:
            survey(source_of(data[:end]))
        assert error.value.facts["offset"] == end
        with pytest.raises(FormatError):
            decoded(data[:end], Checkpoint(0, None), None, 100)


def test_a_changed_byte_is_refused_or_changes_nothing(source_of: Of) -> None:
    header = b"\x1f\x8b\x08\x08\1\2\3\4\0\xffname\0"
    data = member(text(900), flush=zlib.Z_FULL_FLUSH, header=header) + member(text(500, 1))
    want = gzip.decompress(data)
    for at in range(len(data)):
        for change in (1, 0x80, 0xFF):
            changed = data[:at] + bytes([data[at] ^ change]) + data[at + 1 :]
            try:
                got = survey(source_of(changed))[0]
            except FormatError as error:
                assert 0 <= error.facts["offset"] <= len(data)  # type: ignore[operator]
            else:
                assert got == want, at


@pytest.mark.parametrize(
    ("tail", "says"),
    [
        (b"junk", "garbage after the last member"),
        (bytes(600) + b"x", "garbage after the zeros"),
        (bytes(9) + member(b"more"), "garbage after the zeros"),
        (b"\x1f\x8b\x09\0\0\0\0\0\0\0", "garbage after the last member"),
        (b"\x1f\x8b\x08\xe0\0\0\0\0\0\0", "unknown flags"),
        (b"\x1f\x8b\x08\x08\0\0\0\0\0\0" + b"n" * (1 << 20), "without an end"),
    ],
)
def test_what_follows_the_last_member_is_refused(source_of: Of, tail: bytes, says: str) -> None:
    data = member(text(2000))
    with pytest.raises(FormatError, match=says) as error:
        survey(source_of(data + tail))
    assert error.value.facts["offset"] == len(data) + len(tail) - len(tail.lstrip(b"\0"))


def test_wrong_sums_are_refused_with_the_place(source_of: Of) -> None:
    first, second = member(text(3000)), member(text(4000, 1))
    for at, says in ((8, "wrong CRC"), (4, "wrong length")):
        bad = second[:-at] + bytes([second[-at] ^ 1]) + second[len(second) - at + 1 :]
        with pytest.raises(FormatError, match=says) as error:
            survey(source_of(first + bad + first))
        assert error.value.facts == {"uri": "memory", "offset": len(first + second) - 8, "member": 2}


def test_many_small_members_are_checkpoints(source_of: Of) -> None:
    contents = [text(i % 400, i) for i in range(3000)]
    members = [member(content) for content in contents]
    got, one = survey(source_of(b"".join(members)), 2000)
    assert got == b"".join(contents)
    assert one.n_members == 3000
    assert 100 < len(one.checkpoints()) and all(window is None for _, _, window in one.found())


def test_a_pass_may_be_left_in_the_middle(source_of: Of) -> None:
    before = threading.active_count()
    one = Survey(source_of(member(text(3_000_000))), 20_000)
    pieces = one.blocks()
    given = len(next(pieces)) + len(next(pieces))
    assert all(offset <= given for _, offset, _ in one.found())
    pieces.close()
    assert threading.active_count() == before


def test_members_without_content_take_no_long_time(source_of: Of) -> None:
    data = member(b"") * 30_000 + member(b"end")
    got, one = survey(source_of(data), 100_000)
    assert got == b"end" and one.n_members == 30_001


def test_a_gzip_file_inside_a_stored_one_misleads_nobody(source_of: Of) -> None:
    inner = member(text(200_000), level=1)
    data = member(inner, level=0)
    got, one = survey(source_of(data), 3000)
    assert got == inner
    for found in one.checkpoints():
        assert decoded(data, checkpoint(found), None, 4096) == inner[found[1] :]


@pytest.mark.skipif(not shutil.which("gzip"), reason="gzip is not installed")
def test_gzip_says_the_same(source_of: Of, tmp_path: Path) -> None:
    """Of two members with padding, whole and with one byte changed at a time."""
    data = member(text(600)) + member(b"") + member(text(300, 2)) + bytes(100)
    for at in [None, *range(0, len(data) - 100, 7)]:
        changed = bytearray(data)
        if at is not None:
            changed[at] ^= 0x55
        (tmp_path / "x.gz").write_bytes(changed)
        verdict = subprocess.run(["gzip", "-t", tmp_path / "x.gz"], capture_output=True).returncode
        try:
            survey(source_of(bytes(changed)))
        except FormatError:
            assert verdict != 0, at
        else:
            assert verdict == 0, at


@pytest.mark.parametrize("n_marks", [1, 2])
@pytest.mark.parametrize("strategy", [zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED])
def test_flushes_are_places_to_begin(source_of: Of, n_marks: int, strategy: int) -> None:
    """As pigz writes them: once after each part, twice where parts are to be independent."""
    content = text(300_000)
    deflate = zlib.compressobj(6, zlib.DEFLATED, 31, 8, strategy)
    data = b""
    for at in range(0, len(content), 10_000):
        data += deflate.compress(content[at : at + 10_000]) + deflate.flush(zlib.Z_SYNC_FLUSH)
        data += b"\0\0\0\xff\xff" * (n_marks - 1)
    source = source_of(data + deflate.flush())
    got, one = survey(source, 1000)
    assert got == content and source.meter.requests == 1
    assert len(one.checkpoints()) >= 25


def test_one_block_is_said_to_be_one(source_of: Of) -> None:
    data = member(text(60_000), strategy=zlib.Z_FIXED)
    got, one = survey(source_of(data))
    assert got == text(60_000) and one.uncut and "one block" in one.uncut
    assert survey(source_of(member(text(60_000))))[1].uncut is None


def test_few_requests_and_small_pieces(source_of: Of) -> None:
    source = source_of(member(bytes(64 << 20), 9) + member(text(300_000)))
    one = Survey(source)
    assert sum(map(len, pieces := list(one.blocks()))) == (64 << 20) + 300_000
    assert max(map(len, pieces)) <= 512 * 1024
    assert source.meter.requests <= 2


@pytest.mark.skipif(not REAL, reason="the real files are not here")
@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_real_files(path: Path) -> None:
    data = path.read_bytes()
    with LocalSource(str(path)) as source:
        try:
            want = gzip.decompress(data)
        except (EOFError, gzip.BadGzipFile):
            with pytest.raises(FormatError):
                survey(source)
            return
        got, one = survey(source, 16 * 1024)
        assert got == want
        for found in one.checkpoints():
            assert decoded(data, checkpoint(found), None, 1 << 16) == want[found[1] :]
