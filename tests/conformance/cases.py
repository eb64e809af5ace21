"""What the conformance suite is run on: every format, in every way that it lies in a file.

To add a format, add a `Case` to `CASES`: a name that says what is special about it, a function that makes its
files, and what somebody else says of them: `split` reads the records of a plain file of the format (written here, or
by another library, but never by cbtool), `count` asks another program how many there are in a set of files. Every
promise in `test_promises.py` is then held against it, in a folder and in object storage. What the format cannot do
is said by the fields: no `on_the_fly`, fewer `weights`.
"""

from __future__ import annotations

import codecs
import itertools
import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fixtures import make

Files = dict[str, bytes]
"""Sources by name, in the order in which they are given."""


@dataclass(frozen=True)
class Case:
    """One set of sources that make one plan."""

    name: str
    files: Callable[[], Files]
    split: Callable[[bytes], list[bytes]]
    """The canonical bytes of the records in a plain file."""
    join: Callable[[Sequence[bytes]], bytes]
    """A plain file of these records."""
    count: Callable[[Sequence[Path]], int]
    """How many records another program finds in plain files."""
    weights: Sequence[str]
    plain: Callable[[bytes], bytes] = bytes
    """What a source holds when it is decompressed."""
    on_the_fly: bool = True
    paired: bool = False
    main: bool = False
    """Whether it stands for its format in the tests that take long."""
    form: str | None = None
    """What ``--as`` says, where content and name do not."""
    is_ordered: bool = True
    """Whether the chunks, one after another, have the records in the order of the sources."""
    unreadable: tuple[type[Exception], ...] = (UnicodeDecodeError, StopIteration)
    """What `split` raises of bytes that its reader does not take."""

    def __str__(self) -> str:
        return self.name


# --- text ------------------------------------------------------------------------------------------------------------


def text_case(name: str, data: Callable[[], bytes], encoding: str = "utf-8", mark: bytes = b"", **more: Any) -> Case:
    """Return a case of lines; *name* ends in ``.txt`` or ``.txt.gz``."""
    newline = "\n".encode(encoding)
    lenient = "surrogateescape" if encoding == "utf-8" else "surrogatepass"

    def split(plain: bytes) -> list[bytes]:
        lines = plain.removeprefix(mark).decode(encoding, lenient).split("\n")
        return [line.encode(encoding, lenient) for line in (lines if lines[-1] else lines[:-1])]

    def join(records: Sequence[bytes]) -> bytes:
        return mark + b"".join(record + newline for record in records)

    def count(paths: Sequence[Path]) -> int:
        counted = 0
        for path in paths:
            plain = path.read_bytes()
            assert plain.startswith(mark)
            with open(path, encoding=encoding, newline="\n") as file:
                counted += sum(1 for _ in file)
        return counted

    return Case(name, cache(lambda: {name: data()}), split, join, count, ("bytes", "records"), plain_of(name), **more)


def plain_of(name: str) -> Callable[[bytes], bytes]:
    return decompressed if name.endswith(".gz") else bytes


@cache
def decompressed(data: bytes) -> bytes:
    """Return what ``gzip -dc`` makes of *data*."""
    return subprocess.run(["gzip", "-dc"], input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout


# --- records of a fixed size ------------------------------------------------------------------------------------------

RECORD_BYTES = 20


def fixed_case(name: str, data: Callable[[], bytes], **more: Any) -> Case:
    """Return a case of records of 20 bytes."""

    def split(plain: bytes) -> list[bytes]:
        assert len(plain) % RECORD_BYTES == 0
        return [plain[at : at + RECORD_BYTES] for at in range(0, len(plain), RECORD_BYTES)]

    def count(paths: Sequence[Path]) -> int:
        return sum(path.stat().st_size for path in paths) // RECORD_BYTES

    form = f"fixed:{RECORD_BYTES}"
    files = cache(lambda: {name: data()})
    return Case(name, files, split, b"".join, count, ("bytes", "records"), plain_of(name), form=form, **more)


# --- FASTQ -----------------------------------------------------------------------------------------------------------


def four_lines(plain: bytes) -> list[bytes]:
    """Return the records of strict FASTQ, without their newlines, whatever those are."""
    lines = [line.removesuffix(b"\r") for line in plain.split(b"\n")]
    while len(lines) % 4 or (lines and not any(lines[-4:])):
        lines.pop()
    return [b"\n".join(lines[at : at + 4]) for at in range(0, len(lines), 4)]


def wrapped(plain: bytes) -> list[bytes]:
    """Return the records of FASTQ whose bases and qualities run over several lines."""
    lines = iter(plain.removesuffix(b"\n").split(b"\n"))
    found = []
    for title in lines:
        bases = list(itertools.takewhile(lambda line: line[:1] != b"+", lines))
        qualities: list[bytes] = []
        while sum(map(len, qualities)) < sum(map(len, bases)):
            qualities.append(next(lines))
        found.append(b"\n".join([title, *bases, b"+", *qualities]))
    return found


def with_newlines(records: Sequence[bytes]) -> bytes:
    return b"".join(record + b"\n" for record in records)


def seqkit(paths: Sequence[Path]) -> int:
    """Return how many reads seqkit finds, or where it is not installed, dnaio."""
    if shutil.which("seqkit"):
        found = subprocess.run(["seqkit", "stats", "-T", "-j1", *paths], capture_output=True, text=True, check=True)
        rows = [line.split("\t") for line in found.stdout.splitlines()[1:]]
        return sum(int(row[3]) for row in rows)
    import dnaio

    return sum(sum(1 for _ in dnaio.open(path)) for path in paths)


def reads_case(
    name: str,
    data: Callable[[], bytes],
    split: Callable[[bytes], list[bytes]] = four_lines,
    on_the_fly: bool = True,
    main: bool = False,
) -> Case:
    """Return a case of one file of reads."""
    return reads_set(name, lambda: {name: data()}, split, on_the_fly=on_the_fly, main=main)


def reads_set(
    name: str,
    files: Callable[[], Files],
    split: Callable[[bytes], list[bytes]] = four_lines,
    on_the_fly: bool = True,
    paired: bool = False,
    main: bool = False,
) -> Case:
    weights = ("bytes", "records", "bases")
    plain = plain_of(name)
    return Case(name, cache(files), split, with_newlines, seqkit, weights, plain, on_the_fly, paired, main)


def packed(form: str, data: Callable[[], bytes]) -> Callable[[], bytes]:
    return lambda: make.FORMS[form](data())


# --- sets and pairs --------------------------------------------------------------------------------------------------


def three_texts() -> Files:
    """Return texts that do and do not end with a newline, and an empty one."""
    return {"b.txt": make.no_final_newline(), "empty.txt": b"", "a.txt": make.lf()[:50_000], "c.txt": b"one\ntwo"}


def several_reads(form: str | None) -> Callable[[], Files]:
    """Return a function that makes files of reads of which one does not end with a newline."""
    pack = make.FORMS[form] if form else bytes
    suffix = ".fastq.gz" if form else ".fastq"
    plain = {"run2": make.strict(), "run10": make.fastq_no_final_newline(), "run1": make.fastq_crlf()[:-2]}
    return lambda: {name + suffix: pack(data) for name, data in plain.items()}


def pair(*forms: str | None, suffix: str = ".fastq", n_pairs: int = 1) -> Callable[[], Files]:
    """Return a function that makes *n_pairs* pairs; *forms* are of the first mates and of the second."""

    def files() -> Files:
        made: Files = {}
        for number in range(n_pairs):
            both = make.mates(600 - 100 * number, seed=7 + number, prefix=f"pair{number}")
            for mate, data, form in zip((1, 2), both, forms, strict=True):
                made[f"p{number}_{mate}{suffix}"] = make.FORMS[form](data) if form else data
        return made

    return files


TEXT_CASES = [
    text_case("lf.txt", make.lf, main=True),
    text_case("crlf.txt", make.crlf),
    text_case("no_final_newline.txt", make.no_final_newline),
    text_case("empty_lines.txt", make.empty_lines),
    text_case("long_line.txt", make.long_line),
    text_case("utf8_bom.txt", make.utf8_bom, "utf-8", codecs.BOM_UTF8),
    text_case("utf16_le.txt", make.utf16_le, "utf-16-le", codecs.BOM_UTF16_LE),
    text_case("utf16_be.txt", make.utf16_be, "utf-16-be", codecs.BOM_UTF16_BE),
    text_case("utf32_le.txt", make.utf32_le, "utf-32-le", codecs.BOM_UTF32_LE),
    text_case("no_final_newline_gzip6.txt.gz", packed("gzip6", make.no_final_newline), on_the_fly=False),
    text_case("blocks.txt.gz", packed("blocks", make.lf), on_the_fly=False, main=True),
    text_case("long_line_gzip6.txt.gz", packed("gzip6", make.long_line), on_the_fly=False),
    text_case("bgzf.txt.gz", packed("bgzf", make.no_final_newline)),
    text_case(
        "utf16_blocks.txt.gz", packed("blocks", make.utf16_le), "utf-16-le", codecs.BOM_UTF16_LE, on_the_fly=False
    ),
    text_case("utf16_bgzf.txt.gz", packed("bgzf", make.utf16_be), "utf-16-be", codecs.BOM_UTF16_BE, on_the_fly=False),
]

READS_CASES = [
    reads_case("strict.fastq", make.strict, main=True),
    reads_case("tricky.fastq", make.tricky),
    reads_case("crlf.fastq", make.fastq_crlf),
    reads_case("no_final_newline.fastq", make.fastq_no_final_newline),
    reads_case("blank_tail.fastq", make.blank_tail),
    reads_case("long.fastq", make.long_reads),
    reads_case("wrapped.fastq", make.wrapped, wrapped, on_the_fly=False),
    *(
        reads_case(f"{form}.fastq.gz", packed(form, make.strict), on_the_fly=form in ("bgzf", "members"), main=main)
        for form, main in [
            ("gzip6", False),
            ("gzip1", False),
            ("stored", False),
            ("fixed", False),
            ("blocks", True),
            ("members", False),
            ("padded", False),
            ("bgzf", True),
        ]
    ),
    reads_case("tricky_blocks.fastq.gz", packed("blocks", make.tricky), on_the_fly=False),
    reads_case("tricky_bgzf.fastq.gz", packed("bgzf", make.tricky)),
    reads_case("no_final_newline_blocks.fastq.gz", packed("blocks", make.fastq_no_final_newline), on_the_fly=False),
    reads_case("blank_tail_bgzf.fastq.gz", packed("bgzf", make.blank_tail)),
    reads_case("long_blocks.fastq.gz", packed("blocks", make.long_reads), on_the_fly=False),
    reads_case("long_bgzf.fastq.gz", packed("bgzf", make.long_reads)),
    reads_case("wrapped_blocks.fastq.gz", packed("blocks", make.wrapped), wrapped, on_the_fly=False),
    reads_case("wrapped_bgzf.fastq.gz", packed("bgzf", make.wrapped), wrapped, on_the_fly=False),
]

_three_texts = text_case("several.txt", make.lf)

SET_CASES = [
    Case(
        "several.txt",
        cache(three_texts),
        _three_texts.split,
        _three_texts.join,
        _three_texts.count,
        ("bytes", "records"),
    ),
    reads_set("several.fastq", several_reads(None)),
    reads_set("several_blocks.fastq.gz", several_reads("blocks"), on_the_fly=False),
    reads_set("several_bgzf.fastq.gz", several_reads("bgzf")),
    reads_set("pair.fastq", pair(None, None), on_the_fly=False, paired=True),
    reads_set("pair.fastq.gz", pair("blocks", "bgzf", suffix=".fastq.gz"), on_the_fly=False, paired=True, main=True),
    reads_set("pairs.fastq.gz", pair("bgzf", "gzip6", suffix=".fq.gz", n_pairs=3), on_the_fly=False, paired=True),
]

FIXED_CASES = [
    fixed_case("fixed.bin", make.records, main=True),
    fixed_case("fixed_blocks.bin.gz", packed("blocks", make.records), on_the_fly=False),
    fixed_case("fixed_bgzf.bin.gz", packed("bgzf", make.records), on_the_fly=False),
]


def truth(case: Case, files: Files) -> list[list[bytes]]:
    """Return the records of all sources, for each part."""
    step = 2 if case.paired else 1
    data = list(files.values())
    return [[r for one in data[part::step] for r in case.split(case.plain(one))] for part in range(step)]


def told(line: str) -> dict[str, object]:
    """Return a plan line as JSON."""
    found: dict[str, object] = json.loads(line)
    return found
