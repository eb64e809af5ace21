"""The engines that the conformance suite runs on: each joins by one function that starts what it needs."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cbtool.contracts import EngineSettings
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


Start = Callable[[Path], AbstractContextManager[Ready]]
"""Starts an engine; the folder, which is not there yet, is for what it wants to keep."""

ENGINES: Mapping[str, tuple[Start, Sequence[str]]] = {
    "lambda": (on_lambda, ("s3",)),
    "local": (local, ("folder", "s3")),
}
"""By name: how it is started, and the stores that its workers reach."""

WORKERS_PATH = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
"""What the workers of an engine find on PYTHONPATH, so that they can import `tests`."""
