"""`cbtool show` of a plan over a plane, as people type it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cbtool.plan import Plan
from fixtures import clouds
from tests.inprocess import command, plan_of, refused
from tests.report.test_plan_map import FOUR
from tests.report.test_report import drawn, of_class, parsed


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a plan over a plane, where commands are run."""
    Plan(FOUR).save(str(tmp_path / "four.plan"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CBTOOL_WORKERS", raising=False)
    return tmp_path


def test_facts_with_workers(work: Path) -> None:
    facts = json.loads(command("show", "four.plan", "-j", "2").stdout)
    assert facts["max_over_mean"] == round(900 / 365, 4) and facts["min_over_mean"] == round(60 / 365, 4)
    assert (facts["workers"], facts["makespan"]) == (2, round(900 / 730, 4))
    assert (facts["fixed_grid_tiles"], facts["fixed_grid_from"]) == (4, "plan")
    assert json.loads(command("show", "four.plan").stdout)["workers"] >= 1
    assert "0 workers" in refused(2, "show", "four.plan", "-j", "0")


def test_a_map_goes_into_a_pipe_if_asked(work: Path) -> None:
    lines = command("show", "four.plan", "--map").stdout.splitlines()
    assert "4 boxes on 40 x 30 units, from 500,000 4,000,000" in lines and lines[-1].count("|") == 5
    (work / "some.txt").write_text("a line\n" * 300)
    plan_of(["some.txt"], chunks=3).save("text.plan")
    assert command("show", "text.plan", "--map").stdout.count("|") == 4
    (work / "out").mkdir()
    assert "--map is for plans" in refused(2, "show", "out/", "--map")


def test_pictures_with_and_without_the_index(work: Path) -> None:
    (work / "cloud.laz").write_bytes(clouds.CLOUDS["format6.laz"]())
    plan_of(["cloud.laz"], chunks=5, index_to="indexes").save("cloud.plan")
    assert command("show", "cloud.plan", "--svg", "plain.svg", "--html", "plain.html").exit_code == 0
    shown = command("show", "cloud.plan", "--index-to", "indexes", "--svg", "fine.svg", "--html", "fine.html")
    assert json.loads(shown.stdout)["fixed_grid_from"] == "index"
    plain, fine = (drawn((work / f"{name}.svg").read_text()) for name in ("plain", "fine"))
    assert not of_class(plain, "cells") and len(of_class(fine, "cells")) == 1
    assert len(of_class(plain, "at")) == len(of_class(fine, "at")) == 5
    for name in ("plain", "fine"):
        parsed((work / f"{name}.html").read_text())
    again = command("show", "cloud.plan", "--index-to", "indexes", "--svg", "-").stdout
    assert again == (work / "fine.svg").read_text()


def test_a_box_that_makes_no_sense_is_refused_in_a_line(work: Path) -> None:
    Plan([replace(FOUR[0], of=1, core={"box": [3, 2, 1, 0]})]).save("bad.plan")
    assert "chunk 0: its core is not a box" in refused(65, "show", "bad.plan")
