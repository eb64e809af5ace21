"""A run that is killed again and again ends as one that nobody disturbed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from pathlib import Path

from tests.processes import begin, cbtool, children, session_of, until

LINES = "".join(f"{n} line of text\n" for n in range(4000))
KILLS = 20
WORDS = ("run", "some.txt", "-n", "40", "-j", "2", "-o", "out", "--", "sleep 0.05; tac {in}")


def made(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("some-*")}


def test_twenty_kills_at_random_moments_change_nothing(tmp_path: Path) -> None:
    """Half of the kills hit the driver, half one of its workers; what has a name is whole at every moment.

    The scratch folder of a worker that is killed together with its driver stays in TMPDIR: there is nobody left.
    """
    dice = random.Random(20)
    calm, torn = tmp_path / "calm", tmp_path / "torn"
    for folder in (calm, torn):
        folder.mkdir()
        (folder / "some.txt").write_text(LINES)
    cbtool(*WORDS, cwd=calm)
    wanted = made(calm / "out")
    for _ in range(KILLS // 2):
        process = begin(*WORDS, cwd=torn)
        _wait(process, dice.uniform(0.1, 0.9))
        _kill(dice.choice(children(process.pid) or [process.pid]))
        _wait(process, dice.uniform(0.0, 0.3))
        _kill(process.pid)
        process.wait()
        until(lambda one=process: session_of(one.pid) == [])  # type: ignore[misc]
        assert made(torn / "out").items() <= wanted.items()
    done = cbtool(*WORDS, cwd=torn)
    assert "40 of 40 chunks done" in done.stderr
    assert made(torn / "out") == wanted
    assert [str(path) for path in (torn / "out").rglob("*cbtool-*")] == []


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        pass


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
