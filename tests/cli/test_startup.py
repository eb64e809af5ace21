"""What a command imports before it does anything: all that it imports, a user waits for each time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures import make
from tests.inprocess import plan_of
from tests.processes import ENVIRONMENT

STORAGE = {"boto3", "botocore", "obstore", "urllib3", "ssl", "http.client"}
PLANE = {"laspy", "lazrs", "pyproj", "rasterio", "shapely"}
HEAVY = STORAGE | PLANE | {"numpy", "pydantic", "rich", "importlib.metadata", "logging", "tempfile", "xxhash"}

COMMAND = """
import sys
from cbtool.cli import main
sys.argv[0] = "cbtool"
try:
    main()
finally:
    print("\\n" + " ".join(sys.modules), file=sys.stderr)
"""
TASK = """
import json, sys
from cbtool.backends.worker import perform
assert "result" in perform(json.loads(sys.argv[1])), perform(json.loads(sys.argv[1]))
print(" ".join(sys.modules), file=sys.stderr)
"""


def loaded(folder: Path, code: str, *words: str) -> set[str]:
    """Return the modules that a process has imported at its end."""
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    reads = make.strict()
    (tmp_path / "reads.fastq").write_bytes(reads)
    (tmp_path / "reads.bgz.fastq.gz").write_bytes(make.bgzf(reads))
    (tmp_path / "reads.fastq.gz").write_bytes(make.many_blocks(reads))
    (tmp_path / "lines.txt").write_bytes(make.lf())
    plan_of([str(tmp_path / "reads.fastq.gz")], chunks=3).save(str(tmp_path / "reads.plan"))
    return tmp_path


@pytest.mark.parametrize(
    "line",
    [
        "--help",
        "partition --help",
        "partition reads.bgz.fastq.gz -n 4 -o p -j 2",
        "partition reads.fastq -n 4",
        "partition lines.txt -n 4 --on-the-fly",
        "show reads.plan",
        "read reads.plan -k 1",
        "info reads.bgz.fastq.gz",
        "preprocess --help",
        "preprocess terrain --help",
    ],
)
def test_a_command_imports_nothing_heavy(folder: Path, line: str) -> None:
    assert not loaded(folder, COMMAND, *line.split()) & HEAVY


def test_a_run_of_chunks_imports_no_numpy_and_no_storage(folder: Path) -> None:
    found = loaded(folder, COMMAND, "run", "reads.plan", "-q", "-j1", "--", "wc", "-l")
    assert not found & (HEAVY - {"logging", "tempfile"})  # of concurrent.futures; of the reports


def test_a_worker_reads_a_chunk_without_numpy(folder: Path) -> None:
    lines = (folder / "reads.plan").read_text().splitlines()
    task = {"call": "cbtool.stagers.write:stage", "chunk": lines[1], "destination": str(folder / "out")}
    assert not loaded(folder, TASK, json.dumps(task)) & (HEAVY | {"typer"} - {"tempfile"})
