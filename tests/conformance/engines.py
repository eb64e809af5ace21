"""The engines that the conformance suite runs on: each joins by one function that starts what it needs."""

from __future__ import annotations

import atexit
import os
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from cbtool.contracts import EngineSettings
from tests.clusters import dask_processes
from tests.lambda_front import front, settings_file
from tests.processes import ROOT

N_WORKERS = 2


@dataclass(frozen=True)
class Ready:
    """An engine that can be used now: by `cbtool.session.engine`, and by the command line."""

    name: str
    settings: EngineSettings
    words: Sequence[str] = ()
    """What the command line says besides ``--backend NAME -j 2``."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """What a driver needs to be told."""
    ends_tasks: bool = True
    """Whether a task that is cancelled ends with all that it started; if not, it comes to its own end."""
    limit_s: float = 2.0
    """A time limit that a task keeps which does nothing."""


@contextmanager
def local(tmp_path: Path) -> Iterator[Ready]:
    yield Ready("local", EngineSettings(N_WORKERS))


@contextmanager
def on_lambda(tmp_path: Path) -> Iterator[Ready]:
    """Two emulators of Lambda's runtime behind our front; payloads go through a bucket of this engine's own."""
    import boto3

    client = boto3.client("s3")
    client.create_bucket(Bucket=(bucket := f"payloads-{uuid.uuid4().hex[:12]}"))
    client.close()
    with front(tmp_path, N_WORKERS) as one:
        config = settings_file(one, tmp_path, payloads=f"s3://{bucket}/calls")
        yield Ready("lambda", EngineSettings(N_WORKERS, config), ["--engine-config", config], ends_tasks=False)


@contextmanager
def dask(tmp_path: Path) -> Iterator[Ready]:
    yield Ready("dask", EngineSettings(N_WORKERS))


@contextmanager
def dask_cluster(tmp_path: Path) -> Iterator[Ready]:
    address = dask_scheduler()
    yield Ready("dask", EngineSettings(N_WORKERS, scheduler=address), ["--scheduler", address])


@cache
def dask_scheduler() -> str:
    """Start a scheduler and a worker of two threads, which all tests of this process share; return the address."""
    stack = ExitStack()
    atexit.register(stack.close)
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="cbtool-dask-"))
    return stack.enter_context(dask_processes(Path(folder), [N_WORKERS])).address


@contextmanager
def lithops(tmp_path: Path) -> Iterator[Ready]:
    """Lithops on this machine, whatever it is configured for elsewhere."""
    tmp_path.mkdir()
    config = tmp_path / "lithops.yaml"
    config.write_text("lithops: {backend: localhost, storage: localhost}\n")
    settings = EngineSettings(N_WORKERS, config=str(config))
    # Each call starts an interpreter, which takes its time where there is much to do.
    yield Ready("lithops", settings, ("--engine-config", str(config)), limit_s=10.0)


Start = Callable[[Path], AbstractContextManager[Ready]]
"""Starts an engine; the folder, which is not there yet, is for what it wants to keep."""

ENGINES: Mapping[str, tuple[Start, Sequence[str]]] = {
    "local": (local, ("folder", "s3")),
    "lambda": (on_lambda, ("s3",)),
    "dask": (dask, ("folder",)),
    "dask-cluster": (dask_cluster, ("folder",)),
    "lithops": (lithops, ("folder",)),
}
"""By name: how it is started, and the stores that its workers reach."""

WORKERS_PATH = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
"""What the workers of an engine find on PYTHONPATH, so that they can import `tests`."""
