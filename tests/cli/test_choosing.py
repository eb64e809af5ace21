"""`run` and `write` with a chosen number of chunks, on the local engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cbtool.choice.prices import load
from tests.conftest import S3
from tests.inprocess import command, refused

LINES = 6_000
COUNT = ("--", "wc", "-l")


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a text in it, and room for temporary files."""
    (tmp_path / "some.txt").write_text("".join(f"{n} line of text\n" for n in range(LINES)))
    (tmp_path / "tmp").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


def total(text: str) -> int:
    return sum(int(line) for line in text.split())


def test_a_number_is_chosen_explained_kept_and_held_against_the_run(work: Path) -> None:
    done = command("run", "some.txt", "-n", "auto", "--deadline", "600", "-j", "2", "--explain", "-o", "out/", *COUNT)
    assert done.exit_code == 0, done.stderr
    (driver,) = (work / "out/.cbtool").glob("driver-*.json")
    predicted = json.loads(driver.read_text())["predicted"]
    outputs = [path for path in (work / "out").iterdir() if path.is_file()]
    assert len(outputs) == predicted["chunks"] and predicted["makespan_s"] > 0
    assert total("".join(path.read_text() for path in outputs)) == LINES
    assert f"{len(outputs)} chunks: the cheapest within 600 s" in done.stderr
    assert f"for {len(outputs)} chunks; took " in done.stderr
    assert done.stdout == "" and list((work / "tmp").iterdir()) == []


def test_a_run_that_has_begun_keeps_its_number_and_tries_nothing(work: Path) -> None:
    ran = work / "ran"
    each = ("--", f"echo {{chunk}} >> {ran}; wc -l")
    assert command("run", "some.txt", "-n", "3", "-o", "out/", *each).exit_code == 0
    (work / "out/some-00001").unlink()
    ran.unlink()
    done = command("run", "some.txt", "-n", "auto", "--budget", "1", "-o", "out/", *each)
    assert done.exit_code == 0, done.stderr
    assert "a run of 3 chunks has begun there" in done.stderr
    assert ran.read_text() == "1\n", "a probe, or finished work, was done again"


def test_without_a_destination_outputs_go_to_stdout(work: Path) -> None:
    done = command("run", "some.txt", "-n", "auto", "--budget", "0", "-j", "2", "-q", "--explain", *COUNT)
    assert done.exit_code == 0 and total(done.stdout) == LINES, done.stderr
    assert "the fastest within $0" in done.stderr


def test_an_earlier_run_is_taken_for_the_measure(work: Path) -> None:
    assert command("run", "some.txt", "-n", "5", "-o", "before/", *COUNT).exit_code == 0
    done = command("run", "some.txt", "--deadline", "600", "--like", "before/", "--explain", "-j", "2", *COUNT)
    assert done.exit_code == 0 and total(done.stdout) == LINES, done.stderr
    assert "tasks of before/" in done.stderr
    assert "no run has begun there" in refused(
        66, "run", "some.txt", "--deadline", "9", "--like", "nowhere/", "-q", *COUNT
    )


def test_a_dry_run_says_which_plan_it_would_make(work: Path) -> None:
    before = sorted(path.name for path in work.iterdir())
    done = command("write", "some.txt", "-n", "auto", "--deadline", "600", "--explain", "--dry-run", "-o", "out/")
    assert done.exit_code == 0, done.stderr
    first = done.stdout.splitlines()[0].split()
    number = int(first[0])
    assert f"cbtool partition some.txt -n {number} -o chunks.plan" in done.stdout
    assert done.stdout.count("cbtool read chunks.plan") == number
    assert sorted(path.name for path in work.iterdir()) == before and list((work / "tmp").iterdir()) == []


def test_what_cannot_be_met_is_refused_before_the_run(work: Path) -> None:
    said = refused(2, "run", "some.txt", "-n", "auto", "--deadline", "0.001", "-q", "-j", "2", "-o", "out/", *COUNT)
    assert "within 0.001 s: the fastest is" in said and not (work / "out").exists()


@pytest.mark.parametrize(
    "words, said",
    [
        (("-n", "4", "--deadline", "9"), "choose the number of chunks"),
        (("--size", "1MB", "--budget", "9"), "choose the number of chunks"),
        (("-n", "auto", "--explain"), "--explain is for a number that is chosen"),
        (("-n", "auto", "--like", "out/"), "--like is for a number that is chosen"),
        (("--deadline", "-1"), ""),
    ],
)
def test_options_that_make_no_sense_together(work: Path, words: tuple[str, ...], said: str) -> None:
    done = command("run", "some.txt", *words, *COUNT)
    assert done.exit_code == 2 and said in done.stderr and done.stdout == ""


def test_a_plan_has_its_number_already(work: Path) -> None:
    assert command("partition", "some.txt", "-n", "2", "-o", "some.plan").exit_code == 0
    assert "is a plan already" in refused(2, "run", "some.plan", "--deadline", "9", *COUNT)


def test_prices_of_ones_own(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (work / "own.toml").write_text('dated = "2031-02-03"\n')
    words = ("run", "some.txt", "-n", "auto", "--budget", "1", "--explain", "-j", "2", "-q")
    assert "prices of 2031-02-03" in command(*words, "--prices", "own.toml", *COUNT).stderr
    (work / "cbtool.toml").write_text('prices = "own.toml"\n')
    assert "prices of 2031-02-03" in command(*words, *COUNT).stderr
    (work / "cbtool.toml").unlink()
    assert f"prices of {load().dated}" in command(*words, *COUNT).stderr
    (work / "own.toml").write_text("dated =")
    monkeypatch.setenv("CBTOOL_PRICES", "own.toml")
    assert "own.toml: " in refused(78, *words, *COUNT)


def test_chunks_are_tried_on_the_storage_where_outputs_go(work: Path, s3: S3) -> None:
    uri = s3.put("some.txt", (work / "some.txt").read_bytes())
    output = f"s3://{s3.bucket}/out"
    done = command("write", uri, "-n", "auto", "--deadline", "600", "-j", "2", "-o", output)
    assert done.exit_code == 0, done.stderr
    keys = [one["Key"] for one in s3.client.list_objects_v2(Bucket=s3.bucket)["Contents"]]
    names = [key for key in keys if key.startswith("out/") and ".cbtool/" not in key]
    assert all(key.startswith("out/some-") for key in names), "what was tried is still there"
    content = b"".join(s3.client.get_object(Bucket=s3.bucket, Key=key)["Body"].read() for key in names)
    assert content == (work / "some.txt").read_bytes()
