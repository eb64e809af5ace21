"""cbtool inside the process of a test: plans, chunks, proofs and commands, without the seconds that workers take."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Any

import typer.testing

from cbtool.asked import Options
from cbtool.backends.worker import perform
from cbtool.chunk import Chunk
from cbtool.cli import app
from cbtool.contracts import Limits
from cbtool.destination import open_destination
from cbtool.indexing import build
from cbtool.partitioning import partition
from cbtool.plan import Plan
from cbtool.proof import Summary
from cbtool.reading import open_parts
from cbtool.source import open_source
from cbtool.verifying import verify
from tests.processes import ROOT


class Inline:
    """A backend that does a task at once, in this process."""

    limits = Limits()

    def submit(self, task: Mapping[str, Any]) -> Future[dict[str, Any]]:
        future: Future[dict[str, Any]] = Future()
        future.set_result(perform(task))
        return future

    def cancel(self, future: Future[dict[str, Any]]) -> None:
        raise AssertionError("nothing here takes time")

    def close(self) -> None:
        pass


def plan_of(
    uris: Sequence[str], *, form: str | None = None, index_to: str | None = None, workers: int = 2, **asked: Any
) -> Plan:
    """Make a plan, and the indexes that it needs."""
    with ExitStack() as stack:
        sources = [stack.enter_context(open_source(uri)) for uri in uris]
        options = Options(workers=workers, **asked)
        return partition(
            sources,
            options,
            lambda missing, name: build(missing, name, Inline(), workers),
            form=form,
            index_to=index_to,
        )


def contents(chunk: Chunk) -> list[bytes]:
    """Return the files of *chunk*."""
    return [b"".join(part.blocks) for part in open_parts(chunk)]


def differences(plan: Plan, destination: str | None = None) -> list[str | None]:
    """Return what `verify` finds to differ, for each part."""
    where = open_destination(destination) if destination else None
    return [verdict.differs for verdict in verify(plan, Inline(), where)]


def verified(plan: Plan) -> Summary:
    """Return the summary of the only part of *plan*; fail if it is not proven."""
    (verdict,) = verify(plan, Inline())
    assert verdict.differs is None, verdict.differs
    return verdict.sources


def command(*args: str | os.PathLike[str], stdin: bytes | str | None = None) -> typer.testing.Result:
    """Run a command line in this process; fail if it ends with an exception that is not ours."""
    result = typer.testing.CliRunner().invoke(app, [os.fspath(one) for one in args], input=stdin, prog_name="cbtool")
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    return result


def refused(status: int, *args: str | os.PathLike[str], stdin: bytes | str | None = None, silent: bool = True) -> str:
    """Run a command line that must fail with *status* and one clear line (and a hint); return the line."""
    result = command(*args, stdin=stdin)
    lines = [line for line in result.stderr.splitlines() if not line.startswith("cbtool: hint: ")]
    errors = [line for line in lines if line.startswith("cbtool: error: ")]
    assert result.exit_code == status, (result.exit_code, result.stderr)
    assert len(errors) == 1 and "Traceback" not in result.stderr, result.stderr
    assert not silent or result.stdout == "", result.stdout
    return errors[0]


def process(*args: str | os.PathLike[str], **more: Any) -> subprocess.CompletedProcess[bytes]:
    """Run a command line as a process of its own; its stdout and stderr are kept unless *more* says otherwise."""
    how: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": environment()} | more
    words = [sys.executable, "-m", "cbtool", *(os.fspath(one) for one in args)]
    done: subprocess.CompletedProcess[bytes] = subprocess.run(words, timeout=60, check=False, **how)
    return done


def environment() -> dict[str, str]:
    """Return what a process of the program finds around it: what this one has now, and the code of this tree."""
    now = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return now | {"PYTHONPATH": str(ROOT)}
