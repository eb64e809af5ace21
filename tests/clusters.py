"""Dask clusters of processes on loopback, as a user would start them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.processes import ENVIRONMENT, until

DASK = [sys.executable, "-m", "dask"]


@dataclass(frozen=True)
class Cluster:
    """Where its scheduler is, and its processes."""

    address: str
    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]]


@contextmanager
def dask_processes(folder: Path, threads: list[int], more: Mapping[str, str] | None = None) -> Iterator[Cluster]:
    """Start a scheduler, and a worker for each of *threads*, who keep their files in *folder*; end them at the end.

    *more* is what they find in their environment besides.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "scheduler.json"
    environment = {**ENVIRONMENT, "DASK_TEMPORARY_DIRECTORY": str(folder), **(more or {})}
    here = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(file)]

    with ExitStack() as stack:

        def start(*words: str) -> subprocess.Popen[bytes]:
            process = subprocess.Popen(
                [*DASK, *words, *here], env=environment, cwd=folder, stderr=subprocess.DEVNULL, start_new_session=True
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        scheduler = start("scheduler", "--port", "0")
        workers = [start("worker", "--nthreads", str(n), "--no-nanny") for n in threads]
        until(lambda: _address(file) is not None, 60)
        address = _address(file) or ""
        _wait_for_workers(address, len(threads))
        yield Cluster(address, scheduler, workers)


def _address(file: Path) -> str | None:
    """Return what the scheduler wrote into *file*; None until it is whole."""
    try:
        address: str = json.loads(file.read_text())["address"]
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return address


def _wait_for_workers(address: str, n_workers: int) -> None:
    from distributed import Client

    if n_workers:
        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(n_workers, timeout=60)
