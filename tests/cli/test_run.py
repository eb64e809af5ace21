"""`cbtool run`, `write` and `status` as real processes: interrupted, killed, resumed."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.processes import CBTOOL, alive, begin, cbtool, children, scratch_in, session_of, until

LINES = [f"{n} line of text\n" for n in range(5_000)]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder with a text in it."""
    (tmp_path / "some.txt").write_text("".join(LINES))
    return tmp_path


def made(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def left_over(work: Path) -> list[str]:
    """Return the temporary files that lie about."""
    return [str(path) for path in work.rglob("*cbtool-*") if path.name != ".cbtool"]


def test_a_newcomers_first_line(work: Path) -> None:
    done = cbtool("run", "some.txt", "-n", "16", "--reduce", "awk '{s+=$1} END {print s}'", "--", "wc", "-l", cwd=work)
    assert done.stdout == "5000\n"
    assert "16 of 16 chunks done" in done.stderr
    assert left_over(work) == []


def test_without_a_destination_outputs_come_in_order(work: Path) -> None:
    done = cbtool(
        "run", "some.txt", "-n", "12", "-j", "3", "--", "if [ {chunk} = 0 ]; then sleep 0.5; fi; cat", cwd=work
    )
    assert done.stdout == "".join(LINES)
    assert left_over(work) == []


def test_a_plan_may_come_from_stdin(work: Path) -> None:
    plan = cbtool("partition", "some.txt", "-n", "4", cwd=work).stdout
    done = cbtool("run", "-", "--", "wc", "-l", cwd=work, stdin=plan)
    assert sum(int(line) for line in done.stdout.split()) == 5000
    cbtool("run", "-", "-n", "3", "--", "wc", cwd=work, stdin=plan, status=2)
    part = plan.splitlines()[1] + "\n"
    cbtool("run", "-", "--", "wc", cwd=work, stdin=part, status=65)
    cbtool("run", "-", "--some", "-o", "out", "--", "wc", cwd=work, stdin=part)
    assert list(made(work / "out")) == ["some-00001"]


def test_a_second_run_does_the_rest_and_another_is_refused(work: Path) -> None:
    words = ("run", "some.txt", "-n", "4", "-o", "out/", "--ext", ".n", "--", f"echo {{chunk}} >> {work}/ran; wc -l")
    cbtool(*words, cwd=work)
    before = made(work / "out")
    (work / "out" / "some-00002.n").unlink()
    again = cbtool(*words, cwd=work)
    assert made(work / "out") == before and "3 of them before" in again.stderr
    assert sorted((work / "ran").read_text().split()) == ["0", "1", "2", "2", "3"]
    refused = cbtool("run", "some.txt", "-n", "4", "-o", "out/", "--ext", ".n", "--", "wc", "-c", cwd=work, status=73)
    assert "wc -l there, wc -c here" in refused.stderr
    refused = cbtool("write", "some.txt", "-n", "4", "-o", "out/", cwd=work, status=73)
    assert "task command there, write here" in refused.stderr
    cbtool("write", "some.txt", "-n", "4", "-o", "out/", "--force", cwd=work)
    assert "".join(content.decode() for content in made(work / "out").values()) == "".join(LINES)


def test_what_is_there_without_a_ledger_is_not_touched(work: Path) -> None:
    (work / "out").mkdir()
    (work / "out" / "some-00001.txt").write_text("mine")
    refused = cbtool("write", "some.txt", "-n", "4", "-o", "out", cwd=work, status=73)
    assert "some-00001.txt is there already" in refused.stderr
    assert made(work / "out") == {"some-00001.txt": b"mine"}


def test_a_failing_chunk_fails_alone(work: Path) -> None:
    failing = "echo first >&2; if [ {chunk} = 2 ]; then echo bad news >&2; exit 9; fi; wc -l"
    done = cbtool("run", "some.txt", "-n", "4", "-o", "out", "--reduce", "cat", "--", failing, cwd=work, status=3)
    assert "cbtool: chunk 2: exit status 9: bad news\n" in done.stderr
    assert "1 of 4 chunks failed" in done.stderr and done.stdout == ""
    assert list(made(work / "out")) == ["some-00000", "some-00001", "some-00003"]
    status = cbtool("status", "out", "--json", cwd=work, status=3)
    found = json.loads(status.stdout)
    assert found["done"] == [0, 1, 3] and found["to_come"] == []
    assert found["failed"][0]["stderr"] == "first\nbad news\n" and found["failed"][0]["exit_status"] == 9
    said = cbtool("status", "out", cwd=work, status=3).stdout
    assert said == "3 of 4 chunks done, 1 failed, 0 to come\nchunk 2: exit status 9: bad news\n"


def test_other_statuses_and_retries(work: Path) -> None:
    cbtool("run", "some.txt", "-n", "2", "-o", "a", "--ok", "0,1", "--", "grep", "-c", "no such", cwd=work)
    flaky = f"if mkdir {work}/seen-{{chunk}}; then exit 1; fi; wc -l"
    cbtool("run", "some.txt", "-n", "2", "-o", "b", "--", flaky, cwd=work, status=3)
    for folder in work.glob("seen-*"):
        folder.rmdir()
    done = cbtool("run", "some.txt", "-n", "2", "-o", "b", "-v", "--retries", "1", "--", flaky, cwd=work)
    assert "attempt 1" in done.stderr


def test_a_time_limit_ends_a_command_whole(work: Path) -> None:
    slow = f"if [ {{chunk}} = 1 ]; then sleep 300 & echo $! > {work}/pid; wait; fi; wc -l"
    words = ("run", "some.txt", "-n", "4", "-o", "out", "--timeout", "4", "--retries", "0", "--", slow)
    done = cbtool(*words, cwd=work, status=3)
    assert "cbtool: chunk 1: time limit of 4 s" in done.stderr
    assert len(made(work / "out")) == 3
    until(lambda: not alive([int((work / "pid").read_text())]))


def test_reduce_reads_a_list_and_writes_a_file(work: Path) -> None:
    cbtool(
        *("run", "some.txt", "-n", "3", "-o", "out", "--reduce", "xargs cat < {inputs} | wc -l"),
        *("--reduce-to", "total", "--json", "--", "cat"),
        cwd=work,
    )
    assert (work / "total").read_text().strip() == "5000"
    failed = cbtool("run", "some.txt", "-n", "3", "--reduce", "exit 4", "--", "cat", cwd=work, status=3)
    assert "reduce: exit status 4" in failed.stderr


@pytest.mark.parametrize("command", [["awk", "{print $1}"], ["sort -r < {in} | sed -n 1,2p > {out}"]])
def test_a_dry_run_prints_what_a_shell_can_run(work: Path, command: list[str]) -> None:
    words = ("run", "some.txt", "-n", "2", "--ext", ".o", "-o")
    lines = cbtool(*words, "out", "--dry-run", "--", *command, cwd=work).stdout
    assert not (work / "out").exists()
    (work / "out").mkdir()
    (work / "cbtool").write_text(f'#!/bin/sh\nexec {CBTOOL[0]} -c "{CBTOOL[2]}" "$@"\n')
    (work / "cbtool").chmod(0o755)
    environment = {**scratch_in(work), "PATH": f"{work}:{os.environ['PATH']}"}
    subprocess.run(["bash", "-e"], input=lines, text=True, cwd=work, env=environment, check=True, timeout=60)
    cbtool(*words, "ours", "--", *command, cwd=work)
    assert made(work / "out") == made(work / "ours") and len(made(work / "out")) == 2


def test_a_dry_run_leaves_no_index(work: Path) -> None:
    (work / "some.txt.gz").write_bytes(gzip.compress((work / "some.txt").read_bytes()))
    before = sorted(path.name for path in work.iterdir() if path.name != "tmp")
    cbtool("write", "some.txt.gz", "-n", "2", "-o", "out", "--dry-run", cwd=work)
    assert sorted(path.name for path in work.iterdir() if path.name != "tmp") == before
    assert list((work / "tmp").iterdir()) == []


def test_json_is_one_object(work: Path) -> None:
    found = json.loads(cbtool("write", "some.txt", "-n", "2", "-o", "out", "--json", "-q", cwd=work).stdout)
    assert found["done"] == 2 and found["outputs"] == ["some-00000.txt", "some-00001.txt"]


@pytest.mark.parametrize(
    "words, status, said",
    [
        (["run", "some.txt"], 2, "what is to be run"),
        (["run", "some.txt", "--", "no-such-command", "-x"], 2, "no such command"),
        (["run", "some.txt", "--ok", "x", "--", "wc"], 2, "--ok x"),
        (["run", "some.txt", "--ext", "/x", "--", "wc"], 2, "--ext /x"),
        (["run", "some.txt", "--json", "--", "wc"], 2, "-o DEST"),
        (["run", "some.txt", "--backend", "none", "--", "wc"], 2, "no backend"),
        (["run", "some.txt", "--", "ls {outdir}"], 2, "-o DEST"),
        (["run", "none.txt", "--", "wc"], 66, "none.txt"),
        (["run", "some.txt", "-o", "/dev/full", "--", "wc"], 73, "/dev/full"),
        (["run", "some.txt", "-o", "some.txt", "--", "wc"], 73, "not a folder"),
        (["write", "some.txt"], 2, "where to?"),
        (["status", "nowhere"], 66, "no run"),
    ],
)
def test_what_cannot_be_done_is_one_line(work: Path, words: list[str], status: int, said: str) -> None:
    done = cbtool(*words, cwd=work, status=status)
    assert said in done.stderr and "Traceback" not in done.stderr
    assert left_over(work) == []


def test_a_full_device_and_a_reader_that_leaves(work: Path) -> None:
    words = [*CBTOOL, "run", "some.txt", "-n", "8", "--", "cat"]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(words, cwd=work, env=scratch_in(work), stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == 73 and b"no space left" in done.stderr
    process = subprocess.Popen(words, cwd=work, env=scratch_in(work), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 141, said
    assert left_over(work) == []


def words_of(work: Path, command: str) -> tuple[str, ...]:
    command = command.replace("{work}", str(work))
    return ("run", "some.txt", "-n", "12", "-j", "3", "-o", "out", "--", command + " # {in}")


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_no_process_and_no_temporary_file(work: Path, number: signal.Signals, status: int) -> None:
    command = "echo $$ >> {work}/pids; sleep 300 & sleep 300; cat {in}"
    process = begin(*words_of(work, command), cwd=work)
    until(lambda: (work / "pids").exists() and len((work / "pids").read_text().split()) == 3)
    assert left_over(work) != []
    began = time.monotonic()
    os.kill(process.pid, number)
    if number == signal.SIGINT:  # the first lets what runs come to its end
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.5)
        os.kill(process.pid, number)
    assert process.wait(timeout=20) == status
    assert time.monotonic() - began < 5
    until(lambda: session_of(process.pid) == [])
    assert left_over(work) == []
    assert made(work / "out") == {}


def test_the_first_ctrl_c_lets_what_runs_end_and_begins_nothing_more(work: Path) -> None:
    command = "echo {chunk} >> {work}/began; until [ -e {work}/go ]; do sleep 0.02; done; cat {in}"
    with begin(*words_of(work, command), cwd=work, stderr=subprocess.PIPE) as process:
        until(lambda: (work / "began").exists() and len((work / "began").read_text().split()) == 3)
        os.kill(process.pid, signal.SIGINT)
        assert process.stderr and b"stopping" in process.stderr.readline()
        (work / "go").touch()
        assert process.wait(timeout=20) == 130
    assert sorted(made(work / "out")) == ["some-00000", "some-00001", "some-00002"]
    assert left_over(work) == []
    status = json.loads(cbtool("status", "out", "--json", cwd=work).stdout)
    assert (status["done"], status["to_come"]) == ([0, 1, 2], list(range(3, 12)))
    cbtool(*words_of(work, command), cwd=work)
    assert b"".join(made(work / "out").values()).decode() == "".join(LINES)


def test_a_killed_driver_is_resumed_to_the_same_bytes(work: Path) -> None:
    command = "echo {chunk} >> {work}/ran; sleep 0.15; cat {in}"
    process = begin(*words_of(work, command), cwd=work)
    until(lambda: len(made(work / "out") if (work / "out").exists() else {}) >= 4)
    process.kill()
    process.wait()
    until(lambda: session_of(process.pid) == [])
    until(lambda: left_over(work) == [])
    finished = set(made(work / "out"))
    ran = (work / "ran").read_text().split()
    assert len(finished) < 12
    cbtool(*words_of(work, command), cwd=work)
    assert b"".join(made(work / "out").values()).decode() == "".join(LINES)
    again = (work / "ran").read_text().split()[len(ran) :]
    assert sorted(f"some-{int(n):05}" for n in again) == sorted(set(made(work / "out")) - finished)


def test_a_worker_killed_at_work_costs_an_attempt(work: Path) -> None:
    process = begin(*words_of(work, "echo $PPID > {work}/worker-{chunk}; sleep 0.5; cat {in}"), cwd=work)
    until(lambda: any(path.read_text().strip() for path in work.glob("worker-*")))
    time.sleep(0.1)
    victim = int(next(path for path in work.glob("worker-*") if path.read_text().strip()).read_text())
    assert victim in children(process.pid)
    os.kill(victim, signal.SIGKILL)
    assert process.wait(timeout=60) == 0
    assert b"".join(made(work / "out").values()).decode() == "".join(LINES)
    records = [json.loads(line) for line in (work / "out" / ".cbtool" / "attempts.jsonl").read_text().splitlines()]
    retried = [record for record in records if record["ended"] == "retry"]
    assert len(retried) == 1 and "SIGKILL" in retried[0]["error"]
    assert len(records) == 13
    assert list((work / "tmp").iterdir()) == []


def test_an_output_that_is_gone_at_the_end_is_a_failure(work: Path) -> None:
    command = "if [ {chunk} = 1 ]; then rm out/some-00000; fi; cat {in}"
    done = cbtool("run", "some.txt", "-n", "2", "-j", "1", "-o", "out", "--", command, cwd=work, status=3)
    assert "1 of 2 chunks failed" in done.stderr
    cbtool("run", "some.txt", "-n", "2", "-j", "1", "-o", "out", "--", command, cwd=work)
    assert b"".join(made(work / "out").values()).decode() == "".join(LINES)


def test_two_runs_at_once_double_nothing(work: Path) -> None:
    command = "sleep 0.05; cat {in}"
    two = [begin(*words_of(work, command), cwd=work) for _ in range(2)]
    assert [process.wait(timeout=60) for process in two] == [0, 0]
    assert b"".join(made(work / "out").values()).decode() == "".join(LINES)
    records = [json.loads(line) for line in (work / "out" / ".cbtool" / "attempts.jsonl").read_text().splitlines()]
    created = [record["chunk"] for record in records if record["created"]]
    assert sorted(created) == list(range(12))


def test_ctrl_c_ends_a_reduce_too(work: Path) -> None:
    reduce = f"echo $$ > {work}/pids; sleep 300 & sleep 300"
    process = begin("run", "some.txt", "-n", "2", "--reduce", reduce, "--", "cat", cwd=work)
    until(lambda: (work / "pids").exists())
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(timeout=20) == 130
    until(lambda: session_of(process.pid) == [])
    assert left_over(work) == []
