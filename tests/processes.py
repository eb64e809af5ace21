"""What the tests ask about processes, and how they start the program."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

CBTOOL = [sys.executable, "-c", "from cbtool.cli import main; main()"]
ROOT = Path(__file__).parent.parent
# Compiled modules are kept: each of these processes would compile all of cbtool otherwise.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | {"PYTHONPATH": str(ROOT)}


def cbtool(*words: str, cwd: Path, status: int = 0, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run the program in *cwd*; its status must be *status*."""
    done = subprocess.run(
        [*CBTOOL, *words], cwd=cwd, env=scratch_in(cwd), input=stdin, text=True, capture_output=True, timeout=60
    )
    assert done.returncode == status, done.stderr
    return done


def begin(*words: str, cwd: Path, stderr: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    """Start the program in *cwd*, in a session of its own."""
    return subprocess.Popen(
        [*CBTOOL, *words],
        cwd=cwd,
        env=scratch_in(cwd),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        start_new_session=True,
    )


def scratch_in(folder: Path) -> dict[str, str]:
    """Return an environment whose temporary files go to ``tmp`` in *folder*."""
    (folder / "tmp").mkdir(exist_ok=True)
    return {**ENVIRONMENT, "TMPDIR": str(folder / "tmp")}


def until(what: Callable[[], bool], seconds: float = 15.0) -> None:
    """Wait until *what* holds."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.01)


def at_the_same_time(call: Callable[[int], None], times: int = 16) -> None:
    """Call with each number below *times*, each in a thread of its own; return when all have ended."""
    threads = [threading.Thread(target=call, args=(i,)) for i in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def alive(pids: Iterable[int]) -> list[int]:
    """Return those of *pids* that run, or wait to be reaped by somebody who lives."""
    found = []
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state not in "ZX":
            found.append(pid)
    return found


def session_of(leader: int) -> list[int]:
    """Return the processes in the session that *leader* began."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[3]) == leader and fields[0] not in "ZX":
                found.append(int(entry.name))
    return found


def children(pid: int) -> list[int]:
    """Return the processes that *pid* started and that still run."""
    return alive(int(child) for child in subprocess.run(["pgrep", "-P", str(pid)], stdout=-1).stdout.split())
