"""What the README says is so: every block is run, every table is held against the code."""

from __future__ import annotations

import fnmatch
import re
import shlex
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from cbtool import errors, registry, settings
from cbtool.cli import COMMANDS
from tests.conftest import S3
from tests.examples import BUCKET, bash, done, fill, missing_program
from tests.lambda_front import front, settings_file

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
MAKE = re.compile(r"^    make (\w+)", re.MULTILINE)
NOT_RUN = ("pip install .",)
"""Commands that this test would not be here without."""


class Block(NamedTuple):
    language: str
    text: str
    line: int


def blocks() -> list[Block]:
    found = re.finditer(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return [Block(one[1], one[2], README.count("\n", 0, one.start()) + 1) for one in found]


def named(block: Block) -> str:
    return f"line-{block.line}-{block.language}"


def of(*languages: str) -> list[Block]:
    return [block for block in blocks() if block.language in languages]


def test_every_block_is_of_a_kind_that_is_checked() -> None:
    assert {block.language for block in blocks()} == {"console", "sh", "make", "cron", "python", "text"}


@pytest.mark.parametrize("block", of("sh"), ids=named)
def test_commands(block: Block, tmp_path: Path, s3: S3) -> None:
    lacking = missing_program(block.text)
    if lacking:
        pytest.skip(f"{lacking} is not installed")
    fill(tmp_path, block.text, s3)
    with ExitStack() as stack:
        if "--backend lambda" in block.text:
            one = stack.enter_context(front(tmp_path / "lambda", 2))
            settings_file(one, tmp_path, payloads=f"s3://{BUCKET}/payloads")
        for command in block.text.splitlines():
            if command not in NOT_RUN:
                done(command, tmp_path)


@pytest.mark.parametrize("block", of("console"), ids=named)
def test_transcript(block: Block, tmp_path: Path, s3: S3) -> None:
    fill(tmp_path, block.text, s3)
    for command, said in transcript(block.text):
        shown = done(command, tmp_path)
        assert fnmatch.fnmatchcase(shown, said.replace("[", "[[]")), command


def transcript(text: str) -> list[tuple[str, str]]:
    """Return the commands of a console block, each with what it prints on stdout."""
    parts = re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]
    return [(command, said) for command, _, said in (part.partition("\n") for part in parts)]


@pytest.mark.parametrize("block", of("make"), ids=named)
def test_makefile(block: Block, tmp_path: Path, s3: S3) -> None:
    lacking = missing_program("make")
    if lacking:
        pytest.skip("make is not installed")
    fill(tmp_path, block.text, s3)
    (tmp_path / "Makefile").write_text(block.text)
    done("make -s counts.txt", tmp_path)
    assert sum(map(int, (tmp_path / "counts.txt").read_text().split())) == 4 * 3000
    assert "up to date" in done("make counts.txt", tmp_path)


@pytest.mark.parametrize("block", of("cron"), ids=named)
def test_cron(block: Block, tmp_path: Path, s3: S3) -> None:
    fill(tmp_path, block.text, s3)
    for line in block.text.splitlines():
        command = line.split(maxsplit=5)[5]
        for _ in range(2):
            ended = bash(command, tmp_path)
            assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@pytest.mark.parametrize("block", of("python"), ids=named)
def test_python(block: Block, tmp_path: Path, s3: S3) -> None:
    fill(tmp_path, block.text, s3)
    (tmp_path / "script.py").write_text(block.text)
    assert done("python script.py", tmp_path) == done(f"python - <<'END'\n{block.text}END\n", tmp_path)
    assert "3000 reads\n" in done("python script.py", tmp_path)


def test_the_two_commands_are_targets() -> None:
    lacking = missing_program("make")
    if lacking:
        pytest.skip("make is not installed")
    targets = MAKE.findall(README)
    assert targets == ["demo", "test"]
    for target in [*targets, "check", "bench", "lock"]:
        done(f"make -n -C {shlex.quote(str(ROOT))} {target}", ROOT)


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table under *heading*, without its head."""
    section = README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in re.split(r"(?<!`)\|(?! head)", line.strip("|"))] for line in lines]


def test_statuses() -> None:
    told = {int(number) for row in rows("Exit statuses") for number in row[0].split(",")}
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert told == {kind.exit_code for kind in kinds if issubclass(kind, errors.CbtoolError)} | {0, 1, 130, 141, 143}


def test_formats() -> None:
    told = " ".join(row[0] for row in rows("Formats"))
    assert [name for name in registry.FORMATS if f"`{name}`" not in told] == []
    groups = [f"`cbtool.{kind}`" for kind in registry.TABLES]
    assert [group for group in groups if group not in README] == []


def test_settings() -> None:
    told = {name for row in rows("Settings") for name in re.findall(r"`([\w-]+)`", row[2])}
    assert told == set(settings.HARMLESS)
    variables = {name for row in rows("Settings") for name in re.findall(r"CBTOOL_\w+", row[1])}
    sources = "".join(path.read_text() for path in (ROOT / "cbtool").rglob("*.py"))
    assert variables == set(re.findall(r'envvar="(CBTOOL_\w+)"', sources))


def test_all_commands_are_named() -> None:
    assert [name for name in COMMANDS if f"`{name}`" not in README] == []


def test_picture_is_of_the_chunks_it_speaks_of() -> None:
    text = of("text")[0].text
    chunks = re.search(r"^chunks +(\d+)$", text, re.MULTILINE)
    drawn = text.splitlines()[-1]
    assert chunks and drawn.count("|") == int(chunks[1]) + 1
