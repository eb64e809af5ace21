"""``--overlap``, ``--shape`` and ``--only`` on the command line, whatever the format makes of them."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from cbtool.asked import Takes
from cbtool.partitioners.text import PARTITIONER
from tests.inprocess import command, plan_of, refused

ASKED = ("--overlap", "5m", "--shape", "kd", "--only", "@a b.geojson")
COMMANDS = {
    "partition": ("partition", "lines.txt"),
    "write": ("write", "lines.txt", "-o", "out"),
    "run": ("run", "lines.txt", "--", "wc", "-l"),
}


@pytest.fixture(autouse=True)
def lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lines.txt").write_text("a line\n" * 100)


def given(verb: str, *options: str) -> list[str]:
    name, source, *rest = COMMANDS[verb]
    return [name, source, "-n", "2", *options, *rest]


@pytest.mark.parametrize("verb", COMMANDS)
@pytest.mark.parametrize(("option", "value"), [("--overlap", "5m"), ("--shape", "kd"), ("--only", "chr2:1-9")])
def test_a_format_that_takes_none_is_named(verb: str, option: str, value: str) -> None:
    assert refused(2, *given(verb, option, value)) == f"cbtool: error: text takes no {option}"
    assert not Path("out").exists()


@pytest.mark.parametrize("verb", COMMANDS)
def test_four_bare_numbers_are_refused_with_the_spellings(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PARTITIONER, "takes", Takes(only=("bbox",)), raising=False)
    done = command(*given(verb, "--only", "1,2,3,4"))
    assert done.exit_code == 2
    assert "--only 1,2,3,4: four numbers may be a box, a window or pixels" in done.stderr
    assert "hint: --only bbox:x0,y0,x1,y1" in done.stderr and "chr2:1-5000000" in done.stderr


@pytest.mark.parametrize("verb", ["write", "run"])
def test_a_dry_run_prints_them(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PARTITIONER, "takes", Takes(True, ("kd",), ("polygons",)), raising=False)
    first = command(*given(verb, *ASKED, "--dry-run")).stdout.splitlines()[0]
    assert shlex.split(first) == ["cbtool", "partition", "lines.txt", "-n", "2", *ASKED, "-o", "chunks.plan"]


@pytest.mark.parametrize("verb", ["write", "run"])
@pytest.mark.parametrize("number", range(3))
def test_a_plan_takes_them_no_more(verb: str, number: int) -> None:
    plan_of(["lines.txt"], chunks=2).save("lines.plan")
    words = list(COMMANDS[verb])
    words[1:2] = ["lines.plan", *ASKED[2 * number : 2 * number + 2]]
    assert refused(2, *words) == "cbtool: error: lines.plan: is a plan already"
