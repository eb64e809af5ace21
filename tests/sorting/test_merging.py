"""Blocks, runs and merges in little room, held against Python's own stable sort."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbtool.errors import FormatError, TaskFailed, UsageError
from cbtool.sorting.blocks import Block, RecordTooLarge, Shape, blocks_of, blocks_of_records, room
from cbtool.sorting.keys import Key, encoded, number
from cbtool.sorting.merging import LEAST_WINDOW_BYTES, Runs, merged, window_bytes
from cbtool.sorting.ordering import PAD
from cbtool.sorting.runs import TRAILER, Writer, read_index
from cbtool.source import open_source

LINE = st.one_of(
    st.binary(max_size=20),
    st.lists(st.sampled_from(b"ab\t\0\r"), max_size=6).map(bytes),
    st.sampled_from([b"", b"a", b"a\r", b"12\tb", b"-3.5\tc", b"0012\ta", b"  7", b"-0", b"1e3", b"+4"]),
).map(lambda line: line.replace(b"\n", b"-"))
LINES = st.lists(LINE, max_size=60)


def as_number(text: bytes) -> Decimal:
    """Return the number that *text* begins with as GNU sort -n reads it, by another way than `number`."""
    text = text.lstrip(b" \t")
    taken, dots = b"", 0
    for i in range(len(text)):
        letter = text[i : i + 1]
        if letter == b"." and not dots:
            dots = 1
        elif not (letter.isdigit() or (letter == b"-" and i == 0)):
            break
        taken += letter
    try:
        return Decimal(taken.decode())
    except ArithmeticError:
        return Decimal(0)


def field(first: int, last: int | None) -> Callable[[bytes], bytes]:
    return lambda line: b"\t".join(line.split(b"\t")[first - 1 : last])


KEYS: list[tuple[Key, Callable[[bytes], Any]]] = [
    (Key(), lambda line: line),
    (Key(descending=True), lambda line: line),
    (Key(fields=(2, 2)), field(2, 2)),
    (Key(fields=(2, None), descending=True), field(2, None)),
    (Key(fields=(1, 2)), field(1, 2)),
    (Key(span=(1, 3)), lambda line: line[1:3]),
    (Key(numeric=True), as_number),
    (Key(numeric=True, fields=(2, 2), descending=True), lambda line: as_number(field(2, 2)(line))),
    (Key.of_function(lambda records: np.array([len(one) for one in records])), len),
]


def in_runs(data: bytes, shape: Shape, key: Key, splitters: list[bytes], room_bytes: int, piece: int) -> bytes:
    """Return the object of runs that is made of *data*, which comes in pieces."""
    pieces = iter([data[at : at + piece] for at in range(0, len(data), piece)])
    return b"".join(Writer(splitters).blocks(blocks_of(pieces, shape, key, room_bytes)))


def parts_of(objects: list[bytes]) -> Iterator[Runs]:
    """Yield what a reducer gets of each part."""
    sources = [open_source(io.BytesIO(one)) for one in objects]
    indexes = [read_index(source) for source in sources]
    for part in range(indexes[0].offset.shape[1] - 1):
        yield [
            (source, (start, end - start))
            for source, index in zip(sources, indexes, strict=True)
            for start, end in index.offset[:, part : part + 2].tolist()
            if end > start
        ]


@pytest.mark.parametrize(("key", "by"), KEYS, ids=[str(key.to_json()) for key, _ in KEYS])
@settings(deadline=None)
@given(
    files=st.lists(LINES, min_size=1, max_size=3),
    at=st.lists(LINE, max_size=4),
    room_bytes=st.integers(300, 3000),
    window=st.integers(1, 200),
    piece=st.integers(1, 90),
    ended=st.booleans(),
)
def test_lines_come_out_in_order_stable_and_whole(
    key: Key,
    by: Callable[[bytes], Any],
    files: list[list[bytes]],
    at: list[bytes],
    room_bytes: int,
    window: int,
    piece: int,
    ended: bool,
) -> None:
    splitters = [] if key.function else sorted({key.rank(key.splitter(one)) for one in at})
    objects = []
    for lines in files:
        data = b"\n".join(lines) + (b"\n" if lines and (ended or not lines[-1]) else b"")
        objects.append(in_runs(data, Shape(), key, [bytes(one) for one in splitters], room_bytes, piece))
    found = [b"".join(merged(runs, Shape(), key, window)) for runs in parts_of(objects)]
    wanted = sorted((line for lines in files for line in lines), key=by, reverse=key.descending)
    assert b"".join(found) == b"".join(line + b"\n" for line in wanted)
    # Each part holds the keys from its splitter on, up to the next one.
    for i, part in enumerate(found):
        for line in part.split(b"\n")[:-1]:
            rank = key.of(line)
            assert i == 0 or not rank < splitters[i - 1]
            assert i == len(splitters) or rank < splitters[i]


@settings(deadline=None)
@given(
    records=st.lists(st.binary(min_size=12, max_size=12), max_size=50),
    span=st.sampled_from([(0, 10), (3, 5), (2, None)]),
    descending=st.booleans(),
    room_bytes=st.integers(300, 2000),
    window=st.integers(1, 100),
)
def test_records_of_a_fixed_size_may_hold_any_bytes(
    records: list[bytes], span: tuple[int, int | None], descending: bool, room_bytes: int, window: int
) -> None:
    key, shape = Key(span=span, descending=descending), Shape(12)
    splitters = [b"\x40", b"\x80"][:: -1 if descending else 1]
    one = in_runs(b"".join(records), shape, key, splitters, room_bytes, 7)
    found = b"".join(block for runs in parts_of([one]) for block in merged(runs, shape, key, window))
    wanted = sorted(records, key=lambda record: record[slice(*span)], reverse=descending)
    assert found == b"".join(wanted)


def test_a_run_of_one_key_only_is_streamed_through_small_windows() -> None:
    lines = [b"same\t%05d" % i for i in range(3000)]
    key = Key(fields=(1, 1))
    objects = [in_runs(b"\n".join(lines[at : at + 1000]), Shape(), key, [], 20_000, 500) for at in (0, 1000, 2000)]
    (runs,) = parts_of(objects)
    assert len(runs) > 9
    blocks = list(merged(runs, Shape(), key, 300))
    assert b"".join(blocks) == b"".join(line + b"\n" for line in lines)
    assert max(map(len, blocks)) <= len(runs) * 300


def test_a_merge_reads_each_byte_about_once() -> None:
    source = np.random.default_rng(3)
    data = b"\n".join(b"%08d" % n for n in source.integers(0, 10**8, 20_000).tolist())
    (runs,) = parts_of([in_runs(data, Shape(), Key(), [], 400_000, 5000)])
    taken = b"".join(merged(runs, Shape(), Key(), 4000))
    meter = runs[0][0].meter
    assert taken == b"\n".join(sorted(data.split(b"\n"))) + b"\n"
    index_bytes = 16 * 2 * len(runs) + TRAILER.size
    assert meter.bytes < len(taken) * 1.02 + 64 * 1024 + index_bytes
    assert meter.requests < 2.5 * len(taken) / 4000


def test_records_of_any_form_are_blocks_too() -> None:
    records = [b"@b\nAC\n+\nII", b"@a\nA\n+\nI", b"@a\nC\n+\nJ"] * 20
    key = Key.of_function(lambda found: [one.partition(b"\n")[0] for one in found])
    blocks = list(blocks_of_records(iter([records[:7], [], records[7:]]), key, 2000))
    assert len(blocks) > 5 and sum(map(len, blocks)) == 60
    (block,) = blocks_of_records(iter([records]), key, 10**6)
    assert b"".join(block.sorted()) == b"".join(
        one + b"\n" for one in sorted(records, key=lambda one: one.partition(b"\n")[0])
    )


def test_a_record_too_large_for_its_room_is_told() -> None:
    with pytest.raises(RecordTooLarge, match="does not fit"):
        list(blocks_of(iter([b"x" * 500] * 9), Shape(), Key(), 4000))
    with pytest.raises(FormatError, match="3 of 10 bytes"):
        list(blocks_of(iter([b"x" * 23]), Shape(10), Key(), 4000))
    with pytest.raises(UsageError, match="too little"):
        room(10_000_000)
    assert window_bytes(10, 1000, 100_000, Key(), 10**8) > LEAST_WINDOW_BYTES
    with pytest.raises(UsageError, match="9000 sorted runs"):
        window_bytes(9000, 1000, 100_000, Key(), 10**8)


def test_what_is_no_object_of_runs_is_refused() -> None:
    right = in_runs(b"a\nb\n", Shape(), Key(), [b"b"], 10**6, 9)
    assert read_index(open_source(io.BytesIO(right))).offset.tolist() == [[0, 2, 4]]
    huge = right[: -TRAILER.size] + TRAILER.pack(b"cbtruns1", 2**60, 2**60)
    backwards = in_runs(b"", Shape(), Key(), [], 10**6, 9)
    backwards = np.array([5, 2, 0, 1], "<i8").tobytes() + TRAILER.pack(b"cbtruns1", 1, 1)
    for wrong in (b"", right[:-1], b"x" * 200, huge, backwards):
        with pytest.raises(FormatError, match="no object of sorted runs"):
            read_index(open_source(io.BytesIO(wrong)))


@given(st.lists(st.one_of(st.integers(-(2**63), 2**63 - 1)), min_size=2))
def test_integer_keys_sort_as_integers(values: list[int]) -> None:
    assert sorted(values) == [value for _, value in sorted(zip(encoded(values, len(values)), values, strict=True))]


@given(st.lists(st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False)), min_size=2))
def test_numbers_of_both_kinds_sort_together(values: list[int | float]) -> None:
    """As where keys are floats and splitters are whole numbers; Python compares the two exactly."""
    keys = encoded(values, len(values))
    for a, b in zip(range(len(values)), range(1, len(values)), strict=False):
        assert (keys[a] < keys[b], keys[a] == keys[b]) == (values[a] < values[b], values[a] == values[b])


@given(st.lists(st.floats(allow_nan=False), min_size=2))
def test_float_keys_sort_as_floats(values: list[float]) -> None:
    keys = encoded(np.array(values), len(values))
    for a, b in zip(range(len(values)), range(1, len(values)), strict=False):
        assert (keys[a] < keys[b]) == (values[a] < values[b])


@given(st.decimals(allow_nan=False, allow_infinity=False), st.decimals(allow_nan=False, allow_infinity=False))
def test_numbers_of_any_length_sort_exactly(a: Decimal, b: Decimal) -> None:
    first, second = (number(f"{one:f}".encode()) for one in (a, b))
    assert (first < second, first == second) == (a < b, a == b)


def test_a_key_function_that_errs_is_told() -> None:
    for values, said in ([1], "1 keys for 2 records"), ([2**64, 1], "no number of 64 bits"), ([None, 1], "None"):
        with pytest.raises(TaskFailed, match=said):
            encoded(values, 2)
    lock = threading.Lock()
    with pytest.raises(UsageError, match="cannot be sent"):
        Key.of_function(lambda records: [lock])


def test_a_block_gives_evenly_chosen_keys() -> None:
    block = Block(b"".join(b"%03d\n" % i for i in range(100)) + PAD, Shape(), Key())
    assert block.keys(4) == [b"000", b"025", b"050", b"075"]
    assert len(block.keys(1000)) == 100
