"""Where a cut lies in a file of many gzip members does not depend on how much is decoded to find it."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from cbtool.partitioners.fastq_grammar import Fastq
from cbtool.partitioners.grammar import Grammar
from cbtool.partitioners.gzip import container
from cbtool.partitioners.lines import Lines
from cbtool.source import LocalSource
from fixtures import make

# Members that end with a record, and members that end within one.
EVEN = b"".join(make.bgzf(line + b"\n")[:-28] for line in make.lf().splitlines()[:200]) + make.bgzf(b"")
FILES: dict[str, tuple[bytes, Grammar]] = {
    "lines that end where blocks end": (EVEN, Lines()),
    "lines in small blocks": (make.bgzf(make.lf(), 500), Lines()),
    "reads in small blocks": (make.bgzf(make.strict(), 700), Fastq()),
    "reads in large blocks": (make.bgzf(make.strict()), Fastq()),
}


@pytest.mark.parametrize("name", FILES)
def test_a_cut_is_one_place_however_much_is_decoded_at_a_time(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, grammar = FILES[name]
    (tmp_path / "x.gz").write_bytes(data)
    plain = gzip.decompress(data)
    with LocalSource(str(tmp_path / "x.gz")) as source:
        form = container.Gzip(data[:1024])
        for nominal in range(1, len(data), max(1, len(data) // 60)):
            found = []
            for length in (1, 100, 4096, 1 << 20):
                monkeypatch.setattr(container, "SYNC_DECODE_BYTES", length)
                found.append(form.sync(source, nominal, grammar))
            assert all(one == found[0] for one in found)
            if found[0] is not None:
                # The place is a member, and what is skipped there ends where a record begins.
                rest = gzip.decompress(data[found[0].at // 8 :])
                assert plain.endswith(rest) and rest.startswith(found[0].head or b"")
                before = plain[: len(plain) - len(rest) + found[0].skip]
                assert before.endswith(b"\n") and len(before) < len(plain)
