"""Any bytes, cut anywhere: joined chunks are the input, and cuts are proven or refused."""

from __future__ import annotations

import itertools
import struct
import tempfile
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cbtool.asked import Options
from cbtool.chunk import Chunk
from cbtool.detect import partitioner
from cbtool.errors import CbtoolError, FormatError, NeedsIndex, UsageError
from cbtool.partitioners.fastq_grammar import Fastq, WrappedFastq
from cbtool.partitioners.lines import Lines
from cbtool.source import Source, open_source
from fixtures import make
from tests.inprocess import contents, differences, plan_of, verified

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
LINES = st.lists(st.binary(max_size=12), max_size=60).map(b"\n".join)
FORMS = st.sampled_from([None, "gzip6", "stored", "fixed", "members", "bgzf", "padded"])


def written(data: bytes, name: str = "a.txt") -> str:
    """Write *data* into a folder of its own and return the path."""
    path = Path(tempfile.mkdtemp()) / name
    path.write_bytes(data)
    return str(path)


def in_memory(data: bytes, form: str, options: Options, marks: bool) -> list[bytes]:
    """Return the chunks of *data*, planned with or without an index."""
    with tempfile.NamedTemporaryFile(suffix=".x") as file:
        file.write(data)
        file.flush()
        with open_source(file.name) as source:
            how = partitioner(form)
            index = how.index(source, (0, source.size)) if marks else None
            chunks = how.chunks([source], [index], options)
            return [b"".join(_bytes_of(chunk, source)) for chunk in chunks]


def _bytes_of(chunk: Chunk, source: Source) -> list[bytes]:
    return [block for part in partitioner(chunk.format).build(chunk, [source]) for block in part.blocks]


@QUICK
@given(LINES, st.integers(1, 70), st.booleans())
def test_joined_chunks_of_any_bytes_are_the_input(data: bytes, n: int, marks: bool) -> None:
    if (
        not data
        or data[:2] in (b"\xff\xfe", b"\xfe\xff")
        or data[:3] in (b"\xef\xbb\xbf", b"\x1f\x8b\x08")
        or b"\0" in data
    ):
        return
    found = in_memory(data, "text", Options(chunks=n), marks)
    assert b"".join(found) == data
    assert all(found) and len(found) <= n
    assert all(one.endswith(b"\n") for one in found[:-1])


@QUICK
@given(LINES, st.sampled_from(["gzip6", "stored", "fixed", "members", "bgzf", "padded"]), st.integers(1, 70))
def test_joined_chunks_of_any_bytes_in_gzip_are_the_input(data: bytes, form: str, n: int) -> None:
    if not data or data[:2] in (b"\xff\xfe", b"\xfe\xff", b"\x1f\x8b") or data[:3] == b"\xef\xbb\xbf" or b"\0" in data:
        return
    found = in_memory(make.FORMS[form](data), "text", Options(chunks=n), True)
    assert b"".join(found) == data
    assert all(found) and len(found) <= n


@settings(max_examples=25, deadline=None)
@given(
    st.binary(min_size=1, max_size=3000), st.sampled_from(["text", "fastq"]), FORMS, st.integers(1, 9), st.booleans()
)
def test_random_bytes_give_a_plan_or_an_error(data: bytes, form: str, gz: str | None, n: int, fly: bool) -> None:
    path = written(make.FORMS[gz](data) if gz else data)
    try:
        plan = plan_of([path], form=form, chunks=n, on_the_fly=fly)
        assert differences(plan) == [None]
    except CbtoolError as error:
        assert error.exit_code in (2, 65)


@QUICK
@given(st.binary(min_size=20, max_size=400).map(lambda b: b"\x1f\x8b\x08\x00" + b))
def test_random_bytes_behind_the_mark_of_gzip_are_refused(data: bytes) -> None:
    with pytest.raises(CbtoolError) as caught:
        plan_of([written(data)], form="text", chunks=2)
    assert caught.value.exit_code in (2, 65)


READS = st.lists(
    st.integers(0, 3).flatmap(
        lambda n: st.tuples(
            st.text("@+AI 1", max_size=4),
            st.text("ACGTN", min_size=n, max_size=n),
            st.text("@+I", min_size=n, max_size=n),
        )
    ),
    min_size=1,
    max_size=40,
)


@QUICK
@given(READS, st.sampled_from([b"\n", b"\r\n"]), st.booleans())
def test_every_sync_from_every_offset_is_a_record_or_is_refused(
    reads: list[tuple[str, str, str]], newline: bytes, final: bool
) -> None:
    records = [newline.join((b"@" + n.encode(), s.encode(), b"+", q.encode())) + newline for n, s, q in reads]
    data = b"".join(records)
    if not final and len(records[-1].split(newline)[3]):
        data = data.removesuffix(newline)
    starts = set(itertools.accumulate((len(record) for record in records), initial=0)) | {len(data)}
    for offset in range(1, len(data)):
        try:
            at = Fastq().sync(data[offset:], offset, True)
        except NeedsIndex:
            continue
        assert at is not None and offset + at in starts, (offset, at)


@QUICK
@given(LINES, st.integers(1, 12))
def test_a_scanner_finds_the_same_in_blocks_of_any_size(data: bytes, n_bytes: int) -> None:
    whole, pieces = Lines().scanner("x"), Lines().scanner("x")
    at_once = whole.feed(data).offset.tolist() if data else []
    found = [o for at in range(0, len(data), n_bytes) for o in pieces.feed(data[at : at + n_bytes]).offset.tolist()]
    assert found == at_once
    assert whole.finish() == pieces.finish()


@pytest.mark.parametrize("grammar, data", [(Fastq(), make.tricky()), (WrappedFastq(), make.wrapped())])
@pytest.mark.parametrize("n_bytes", [7, 64, 1000])
def test_records_are_the_same_in_blocks_of_any_size(grammar: Fastq, data: bytes, n_bytes: int) -> None:
    data = data[: data.index(b"\n@", 9000) + 1] if isinstance(grammar, WrappedFastq) else data[:9000]
    cut = len(data) if isinstance(grammar, WrappedFastq) else data.rindex(b"\n", 0, len(data)) + 1
    data = (
        b"\n".join(data[:cut].split(b"\n")[: len(data[:cut].split(b"\n")) // 4 * 4]) + b"\n"
        if cut != len(data)
        else data
    )
    try:
        whole = [r for some in grammar.split(iter([data])) for r in some]
    except FormatError:
        pytest.skip("the cut is not between records")
    blocks = (data[at : at + n_bytes] for at in range(0, len(data), n_bytes))
    assert [r for some in grammar.split(blocks) for r in some] == whole
    assert len(whole) > 20


@pytest.mark.parametrize("form", [None, "blocks", "bgzf"])
@pytest.mark.parametrize("end", [b"\n", b""])
@pytest.mark.parametrize("n", [1, 2, 7])
def test_records_gives_exactly_so_many(form: str | None, end: bytes, n: int) -> None:
    data = make.fastq(make.reads(15)).removesuffix(b"\n") + end
    plan = plan_of([written(make.FORMS[form](data) if form else data, "r.fastq")], records=n)
    assert [chunk.records for chunk in plan] == [n] * (15 // n) + [15 % n] * bool(15 % n)
    assert [contents(chunk)[0].count(b"\n@read") + 1 for chunk in plan] == [chunk.records for chunk in plan]


@pytest.mark.parametrize("end", [b"\n", b""])
def test_records_gives_exactly_so_many_wrapped_ones(end: bytes) -> None:
    data = make.wrapped_fastq(make.reads(9, shortest=61)).removesuffix(b"\n") + end
    plan = plan_of([written(data, "r.fastq")], records=2)
    assert [chunk.records for chunk in plan] == [2, 2, 2, 2, 1]
    assert differences(plan) == [None]


@pytest.mark.parametrize("by", ["bytes", "records", "bases"])
@pytest.mark.parametrize("form", ["gzip6", "blocks", "bgzf", "members"])
def test_chunks_of_an_index_are_even(by: str, form: str) -> None:
    data = make.fastq(make.reads(3000))
    plan = plan_of([written(make.FORMS[form](data), "r.fastq.gz")], chunks=8, by=by)
    if by != "bytes" or form != "bgzf":
        weights = [chunk.weight for chunk in plan]
        assert len(plan) == 8 and max(weights) * 8 <= 1.02 * sum(weights)


def one_block(data: bytes) -> bytes:
    """Return gzip of one deflate block behind a small one, as igzip -0 writes it."""
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15, 9, zlib.Z_FIXED)
    head = deflate.compress(data[:50]) + deflate.flush(zlib.Z_FULL_FLUSH)
    body = head + deflate.compress(data[50:]) + deflate.flush()
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + body + struct.pack("<II", zlib.crc32(data), len(data))


@pytest.mark.parametrize("n", [2, 3, 16, 64])
def test_cuts_that_are_reached_from_different_blocks_lose_nothing(n: int) -> None:
    plan = plan_of([written(one_block(make.strict()), "r.fastq.gz")], chunks=n)
    assert all(chunk.sources for chunk in plan)
    assert b"".join(contents(chunk)[0] for chunk in plan) == make.strict()
    assert verified(plan).records == len(make.reads())


def test_more_chunks_than_records_is_said() -> None:
    notes: list[str] = []
    from cbtool.partitioning import partition

    with open_source(written(b"a\nb\nc\n")) as source:
        plan = partition([source], Options(chunks=9), lambda missing, form: (), say=notes.append)
    assert len(plan) == 3 and any("3 chunks, not 9" in note for note in notes)


@pytest.mark.parametrize(
    "data", [b"a", b"\n", b"\n\n\n", b"a\r\nb", b"\xff\xfe\n\0", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"]
)
def test_the_smallest_files_are_cut(data: bytes) -> None:
    plan = plan_of([written(data)], chunks=4)
    assert b"".join(contents(chunk)[0] for chunk in plan)[-1:] == data[-1:]
    assert differences(plan) == [None]


def test_a_file_of_reads_that_is_empty_does_not_spoil_a_set() -> None:
    paths = [written(make.strict(), "a.fastq"), written(b"", "b.fastq"), written(make.tricky(), "c.fastq")]
    for plan in (plan_of(paths, chunks=3), plan_of(paths, records=999)):
        assert verified(plan).records == len(make.reads()) + len(make.tricky_reads())


def test_strict_and_wrapped_reads_make_one_plan() -> None:
    for first, second in itertools.permutations([make.strict(), make.wrapped()]):
        plan = plan_of([written(first, "a.fastq"), written(second, "b.fastq")], chunks=5)
        assert verified(plan).records == len(make.reads()) + 400


def test_texts_of_different_encodings_are_not_joined() -> None:
    with pytest.raises(UsageError, match="cannot be in one chunk"):
        plan_of([written(make.lf()), written(make.utf16_le(), "b.txt")], chunks=3)


@pytest.mark.parametrize("at", [2, 10, 12, 18])
@pytest.mark.parametrize("form", ["gzip6", "bgzf"])
def test_a_file_of_a_set_that_is_cut_before_its_data_is_not_left_out(form: str, at: int) -> None:
    pack = make.FORMS[form]
    paths = [written(pack(make.strict()), "a.fastq.gz"), written(pack(make.tricky())[:at], "b.fastq.gz")]
    with pytest.raises(FormatError):
        verified(plan_of(paths, chunks=3))


@pytest.mark.parametrize("n", [1, 2, 3, 9])
def test_texts_with_and_without_a_mark_make_one_plan(n: int) -> None:
    texts = [b"\xef\xbb\xbfone\ntwo", b"x", b"\xef\xbb\xbf", b"three\nfour\n", b"\xef\xbb\xbffive"]
    for turn in range(len(texts)):
        turned = texts[turn:] + texts[:turn]
        plan = plan_of([written(data, f"{i}.txt") for i, data in enumerate(turned)], chunks=n)
        lines = [line for chunk in plan for line in contents(chunk)[0].decode("utf-8-sig").splitlines()]
        assert lines == [line for data in turned for line in data.decode("utf-8-sig").splitlines()]
        assert differences(plan) == [None]


def test_wrapped_reads_are_not_cut_on_the_fly() -> None:
    with pytest.raises(UsageError, match="on the fly"):
        plan_of([written(make.wrapped(), "a.fastq")], chunks=3, on_the_fly=True)


def test_a_record_cut_at_the_end_of_the_file_is_refused() -> None:
    data = make.strict()
    for at in (5, 40, 200):
        path = written(data[:-at], "a.fastq")
        with pytest.raises(FormatError, match="record 800|ends within|quality"):
            verified(plan_of([path], chunks=3, on_the_fly=True))


def test_blank_lines_within_the_reads_are_refused_in_blocks_of_any_size() -> None:
    data = make.fastq(make.reads(5)) + b"\n" * 4 + make.fastq(make.reads(5))
    for n_bytes in (1, 50, len(data)):
        scanner = Fastq().scanner("x")
        with pytest.raises(FormatError):
            for at in range(0, len(data), n_bytes):
                scanner.feed(data[at : at + n_bytes])
            scanner.finish()


# --- pairs -----------------------------------------------------------------------------------------------------------


def pair_of(one: bytes, two: bytes) -> list[str]:
    return [written(one, "r_1.fastq"), written(two, "r_2.fastq")]


@pytest.mark.parametrize("by", ["bytes", "records", "bases"])
def test_mates_are_at_the_same_places_in_both_parts(by: str) -> None:
    plan = plan_of(pair_of(*make.mates()), chunks=9, by=by, paired=True)
    for chunk in plan:
        first, second = ([Fastq().name(line) for line in data.split(b"\n")[:-1:4]] for data in contents(chunk))
        assert first == second and 2 * len(first) == chunk.records


def test_mates_of_different_numbers_are_refused() -> None:
    one, two = make.mates()
    fewer = b"".join(two.splitlines(keepends=True)[:-4])
    with pytest.raises(FormatError, match="800 records.*799"):
        plan_of(pair_of(one, fewer), chunks=4, paired=True)


def test_mates_in_another_order_are_refused() -> None:
    one, two = make.mates()
    lines = two.splitlines(keepends=True)
    records = ["".join(line.decode() for line in lines[at : at + 4]) for at in range(0, len(lines), 4)]
    with pytest.raises(FormatError, match="not mates"):
        plan_of(pair_of(one, "".join(records[1:] + records[:1]).encode()), chunks=4, paired=True)


def test_mates_come_in_twos() -> None:
    one, two = make.mates()
    with pytest.raises(UsageError, match="in twos"):
        plan_of([*pair_of(one, two), written(one, "q_1.fastq")], chunks=4, paired=True)


def test_pairs_are_not_cut_on_the_fly() -> None:
    with pytest.raises(UsageError, match="same record numbers"):
        plan_of(pair_of(*make.mates()), chunks=4, paired=True, on_the_fly=True)
