"""Files that others made: every FASTQ and gzip file in ``../shared/data/genomics``, where that is there.

Each is cut, proven and joined, or refused with status 65: those that are wrong, and no others.
"""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from cbtool.errors import CbtoolError
from tests.conformance.cases import seqkit
from tests.inprocess import contents, differences, plan_of, verified
from tests.processes import ROOT

DATA = ROOT.parent / "shared" / "data" / "genomics"
KINDS = ("*.fastq", "*.fq", "*.fastq.*z", "*.fq.gz", "*.fna.gz", "*.fa", "*.fna", "*.vcf", "*.txt*")
FILES = sorted(
    path
    for folder in ("biopython", "crafted", "debian", "dnaio", "htslib")
    for kind in KINDS
    for path in (DATA / folder).glob(kind)
    if not path.name.endswith((".xz", ".gzi", ".fai"))
)

WRONG = re.compile(r"error_.*\.fastq|truncated\.fq\.gz|bad_crc\.fq\.gz|empty\.fq|empty\.fq\.gz")
HARMLESS = re.compile(
    # What Biopython refuses is the alphabet of qualities or names that differ, which says nothing of where records end.
    r"error_(qual_(del|escape|null|space|tab|unit_sep|vtab)|diff_ids|spaces|tabs)\.fastq"
)


def form_of(path: Path) -> str | None:
    """Return the format to take *path* for; None where its name says it."""
    return None if re.search(r"\.(fastq|fq)(\.b?gz)?$", path.name) else "text"


def plain_of(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


@pytest.mark.skipif(not FILES, reason="the files are not beside the checkout")
@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_file_is_cut_and_proven_or_refused(path: Path, tmp_path: Path) -> None:
    # By a link, for the folder is not ours to write indexes into.
    for count in (1, 3, 16):
        try:
            plan = plan_of([str(path)], form=form_of(path), index_to=str(tmp_path), chunks=count)
            summary = verified(plan)
        except CbtoolError as error:
            assert error.exit_code == 65, repr(error)
            assert WRONG.fullmatch(path.name) and not HARMLESS.fullmatch(path.name), error
            continue
        assert not WRONG.fullmatch(path.name) or HARMLESS.fullmatch(path.name), "a wrong file was taken"
        joined = b"".join(contents(chunk)[0] for chunk in plan)
        assert joined == plain_of(path)
        if form_of(path) is None and not WRONG.fullmatch(path.name):
            (tmp_path / "whole.fastq").write_bytes(joined)
            if b"\n@" in joined and path.name != "zero_length.fastq":
                assert summary.records == seqkit([tmp_path / "whole.fastq"])


@pytest.mark.skipif(not FILES, reason="the files are not beside the checkout")
@pytest.mark.parametrize(
    "one, two, mates",
    [
        ("crafted/reads_1.bgzf.fq.gz", "crafted/reads_2.bgzf.fq.gz", True),
        ("crafted/reads_1.bgzf.fq.gz", "crafted/short_R2.fq.gz", False),
        ("dnaio/paired.1.fastq", "dnaio/paired.2.fastq", True),
        ("htslib/r1.fq", "htslib/r2.fq", True),
        ("biopython/example.fastq", "dnaio/small.fastq", False),
    ],
)
def test_pairs_are_cut_together_or_refused(one: str, two: str, mates: bool, tmp_path: Path) -> None:
    try:
        plan = plan_of([str(DATA / one), str(DATA / two)], paired=True, chunks=4, index_to=str(tmp_path))
        assert set(differences(plan)) == {None}
    except CbtoolError as error:
        assert error.exit_code == 65 and not mates, error
    else:
        assert mates
