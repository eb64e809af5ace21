"""`--report`, `show` of a run, `status --watch`: as people type them."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from cbtool.destination import Folder
from cbtool.report.drivers import drivers
from cbtool.report.watching import redrawn
from tests.conftest import S3
from tests.inprocess import command, process, refused
from tests.processes import CBTOOL, begin, cbtool, scratch_in, until
from tests.report.test_report import drawn, parsed
from tests.test_progress import Terminal

FAIL = 'if [ {chunk} = 2 ]; then echo "<b>&bad</b>" >&2; exit 7; fi; wc -l'


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a text in it, where commands are run."""
    (tmp_path / "some.txt").write_text("".join(f"{n} line of text\n" for n in range(5_000)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_report_of_a_run_and_the_same_from_show(work: Path) -> None:
    cbtool("run", "some.txt", "-n", "5", "-o", "out/", "--report", "run.html", "--", FAIL, cwd=work, status=3)
    page = (work / "run.html").read_text()
    words = " ".join(parsed(page).words)
    assert "4 of 5 chunks done" in words and "<b>&bad</b>" in words and "exit status 7" in words
    shown = command("show", "out/", "--html", "again.html", "--svg", "timeline.svg")
    assert (work / "again.html").read_text() == page
    assert any(one.get("class") == "failed" for one in drawn((work / "timeline.svg").read_text()))
    facts = json.loads(shown.stdout)
    size = (work / "some.txt").stat().st_size
    assert (facts["chunks"], facts["done"], facts["failed"], facts["attempts"]) == (5, 4, 1, 5)
    assert facts["read_bytes"] >= size and facts["requests"] >= 5 and facts["cost_usd"] == 0
    assert facts["failures"][0]["stderr"] == "<b>&bad</b>\n"
    rows = [json.loads(line) for line in command("show", "out/", "--chunks").stdout.splitlines()]
    assert [row["state"] for row in rows] == ["done", "done", "failed", "done", "done"]


def test_a_report_of_a_run_that_was_taken_up_again_tells_of_both(work: Path) -> None:
    words = ("run", "some.txt", "-n", "4", "-o", "out/", "--report", "run.html", "--", "wc", "-l")
    cbtool(*words, cwd=work)
    (work / "out" / "some-00001").unlink()
    cbtool(*words, cwd=work)
    facts = json.loads(command("show", "out").stdout)
    assert (facts["attempts"], facts["done"]) == (5, 4)
    assert "4 of 4 chunks done" in (work / "run.html").read_text()


def test_a_report_of_a_run_that_keeps_nothing(work: Path) -> None:
    done = cbtool("run", "some.txt", "-n", "3", "--report", "run.html", "--", "wc", "-l", cwd=work)
    assert sum(int(line) for line in done.stdout.split()) == 5000
    words = " ".join(parsed((work / "run.html").read_text()).words)
    assert "3 of 3 chunks done" in words and "standard output" in words


def test_a_report_of_write_and_the_pages_of_its_plan(work: Path) -> None:
    cbtool("partition", "some.txt", "-n", "4", "-o", "some.plan", cwd=work)
    cbtool("write", "some.plan", "-o", "parts/", "--report", "run.html", cwd=work)
    assert "4 of 4 chunks done" in (work / "run.html").read_text()
    command("show", "some.plan", "--svg", "plan.svg", "--html", "plan.html")
    parsed((work / "plan.html").read_text())
    assert len([one for one in drawn((work / "plan.svg").read_text()) if one.get("class") == "chunk"]) == 5
    assert command("show", "some.plan", "--svg", "-").stdout == (work / "plan.svg").read_text()


def test_a_report_that_cannot_be_written_is_refused_before_the_work(work: Path) -> None:
    line = ("run", "some.txt", "-n", "2", "-o", "out/", "--report")
    assert "cannot write" in refused(73, *line, "nowhere/run.html", "--", "wc")
    assert "stdout is where outputs go" in refused(2, *line, "-", "--", "wc")
    assert not list((work / "out").glob("some*"))


def test_prices_can_be_replaced_and_a_wrong_table_is_told(work: Path) -> None:
    cbtool("run", "some.txt", "-n", "2", "-q", "-o", "out/", "--", "wc", cwd=work)
    (work / "mine.toml").write_text('dated = "2025-01-02"\n')
    assert json.loads(command("show", "out/", "--prices", "mine.toml").stdout)["prices_dated"] == "2025-01-02"
    (work / "bad.toml").write_text("dated = 3")
    refused(78, "show", "out/", "--prices", "bad.toml")
    refused(78, "run", "some.txt", "-n", "2", "--report", "r.html", "--prices", "bad.toml", "--", "wc")


def test_what_is_no_run_is_refused(work: Path) -> None:
    (work / "empty").mkdir()
    refused(66, "show", "empty/")
    refused(66, "status", "empty/", "--watch")


def test_a_run_on_object_storage_is_shown_with_or_without_a_slash(work: Path, s3: S3) -> None:
    to = f"s3://{s3.bucket}/out"
    assert process("run", "some.txt", "-n", "2", "-q", "-o", to, "--", "wc", "-l").returncode == 0
    for name in (to, f"{to}/"):
        assert json.loads(command("show", name).stdout)["done"] == 2


def holding(work: Path) -> subprocess.Popen[bytes]:
    """Begin a run whose chunks end when a file is there."""
    run = begin(
        *("run", "some.txt", "-n", "2", "-j", "2", "-q", "-o", "out/", "--"),
        f"until [ -e {work}/go ]; do sleep 0.05; done; wc -l",
        cwd=work,
    )
    until(lambda: any(one.running.keys() == {0, 1} for one in drivers(Folder(str(work / "out")))))
    return run


def test_status_of_a_run_that_runs_is_watched_to_its_end(work: Path) -> None:
    run = holding(work)
    found = json.loads(command("status", "out/", "--json").stdout)
    assert [one["chunk"] for one in found["running"]] == [0, 1] and found["to_come"] == []
    assert found["drivers"][0]["pid"] == run.pid and found["drivers"][0]["gone"] is False
    said = command("status", "out/").stdout.splitlines()
    assert said[0] == "0 of 2 chunks done, 0 failed, 2 running, 0 to come"
    assert any(line.startswith("chunk 1: runs for ") for line in said)
    watch = subprocess.Popen(
        [*CBTOOL, "status", "out/", "--watch"], cwd=work, env=scratch_in(work), stdout=-1, text=True
    )
    assert watch.stdout is not None
    assert watch.stdout.readline() == said[0] + "\n"
    (work / "go").touch()
    rest = watch.communicate(timeout=60)[0]
    assert rest.splitlines()[-1] == "2 of 2 chunks done, 0 failed, 0 to come"
    assert (watch.returncode, run.wait(60)) == (0, 0)


def test_ctrl_c_ends_the_watching_and_nothing_else(work: Path) -> None:
    run = holding(work)
    watch = subprocess.Popen([*CBTOOL, "status", "out/", "--watch"], cwd=work, env=scratch_in(work), stdout=-1)
    assert watch.stdout is not None and watch.stdout.readline()
    watch.send_signal(signal.SIGINT)
    watch.communicate(timeout=60)
    assert watch.returncode == 130
    (work / "go").touch()
    assert run.wait(60) == 0


def test_a_killed_driver_is_told_to_be_gone(work: Path) -> None:
    run = holding(work)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    until(lambda: "is gone since" in command("status", "out/").stdout)
    said = command("status", "out/").stdout.splitlines()
    assert said[0] == "0 of 2 chunks done, 0 failed, 2 to come"
    assert said[1].endswith("under way: 0, 1")
    (work / "go").touch()


def test_lines_are_drawn_again_in_their_place_on_a_terminal() -> None:
    stream = Terminal()
    with redrawn(stream) as draw:
        draw(["one", "two"])
        draw(["three", *("more" for _ in range(30))])
    assert "\x1b[1A" in stream.getvalue() and "and 11 more lines" in stream.getvalue()


def test_off_a_terminal_a_line_is_said_when_it_changes() -> None:
    stream = io.StringIO()
    with redrawn(stream) as draw:
        for line in ("one", "one", "two"):
            draw([line, "detail"])
    assert stream.getvalue() == "one\ntwo\n"
