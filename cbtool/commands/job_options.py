"""Options of the commands that do a job over chunks, and what they say together of how it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from cbtool.contracts import EngineSettings
from cbtool.errors import UsageError

Sources = Annotated[
    list[str], typer.Argument(metavar="PLAN|SRC...", help="A plan (- is stdin), or what to plan: paths, URIs, globs.")
]
Output = Annotated[str | None, typer.Option("-o", "--output", metavar="DEST", help="A folder, or an s3:// prefix.")]
Retries = Annotated[
    int | None,
    typer.Option(
        "--retries",
        metavar="N",
        min=0,
        envvar="CBTOOL_RETRIES",
        help="Try failing chunks again [default: 2, where it may pass].",
    ),
]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", metavar="SECONDS", min=0.001, envvar="CBTOOL_TIMEOUT", help="Limit for each chunk."),
]
Scratch = Annotated[
    str | None,
    typer.Option("--scratch", metavar="DIR", envvar="CBTOOL_SCRATCH", help="Where temporary files go [TMPDIR]."),
]
ReportTo = Annotated[
    str | None, typer.Option("--report", metavar="F", help="Write a page about the run to F: run.html.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be done, as commands; change nothing.")]
Force = Annotated[bool, typer.Option("--force", help="First remove what a run made in DEST, and do all again.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Show retries, and all that failing commands said.")]


Memory = Annotated[
    str | None, typer.Option("--memory", metavar="SIZE", help="What a task may take, where the engine is told: 2GiB.")
]
TasksPerCall = Annotated[
    str,
    typer.Option("--tasks-per-call", metavar="N|auto", help="Chunks in one call of an engine whose calls cost much."),
]


@dataclass(frozen=True)
class Settings:
    """How a job runs; none of it shapes what is made."""

    backend: str
    engine: EngineSettings
    tasks_per_call: int | None = None
    retries: int | None = None
    scratch: str | None = None
    force: bool = False
    quiet: bool = False
    verbose: bool = False
    report: str | None = None
    prices: str | None = None
    predicted: Mapping[str, Any] | None = None
    """What was foretold of the job."""


def engine_settings(
    workers: int | None, config: str | None, scheduler: str | None, memory: str | None, timeout_s: float | None
) -> EngineSettings:
    """Return what the command line says of the engine."""
    from cbtool.units import parse_size

    return EngineSettings(workers, config, scheduler, parse_size(memory) if memory else None, timeout_s)


def per_call(text: str, timeout_s: float | None) -> int | None:
    """Return what ``--tasks-per-call`` says; None is ``auto``."""
    if text != "auto" and not (text.isdecimal() and int(text) > 0):
        raise UsageError(f"--tasks-per-call {text}: not a number from 1 on, nor 'auto'")
    if text not in ("auto", "1") and timeout_s is not None:
        raise UsageError("--timeout is for one task a call, and --tasks-per-call puts several into one")
    return None if text == "auto" else int(text)
