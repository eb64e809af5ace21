"""The examples that each command's help ends with do what they say, on small files of those names."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path

import pytest

from cbtool.cli import COMMANDS
from cbtool.registry import PREPROCESSORS
from tests.conftest import S3
from tests.examples import done, fill, missing_program

RUNS_BEFORE = {
    "cbtool status out/": "cbtool run reads.plan -q -o out/ -- wc -l",
    "cbtool status out/ --watch": "cbtool run reads.plan -q -o out/ -- wc -l",
    "cbtool show out/ --html run.html --svg timeline.svg": "cbtool run reads.plan -q -o out/ -- wc -l",
    "cbtool status s3://bucket/out/ --json": "cbtool run reads.plan -q -o s3://bucket/out/ -- wc -l",
    "cbtool verify reads.plan parts/": "cbtool write reads.plan -q -o parts/",
}
"""What must have been done for an example to speak of something."""


TARGETS = {name: target for name, (target, _) in COMMANDS.items()}
TARGETS |= {f"preprocess {name}": entry.target for name, entry in PREPROCESSORS.items()}


def examples(name: str) -> list[str]:
    """Return the examples of command *name*, as its help shows them."""
    module, _, function = TARGETS[name].partition(":")
    text = inspect.getdoc(getattr(import_module(module), function)) or ""
    return [line.strip() for line in text.partition("Examples:")[2].splitlines() if line.strip()]


def test_every_command_has_examples() -> None:
    assert [name for name in TARGETS if not examples(name)] == []


@pytest.mark.parametrize("command", [one for name in TARGETS for one in examples(name)])
def test_example(command: str, tmp_path: Path, s3: S3) -> None:
    lacking = missing_program(command)
    if lacking:
        pytest.skip(f"{lacking} is not installed")
    before = RUNS_BEFORE.get(command, "")
    fill(tmp_path, command + before, s3)
    done(before, tmp_path)
    done(command, tmp_path)
