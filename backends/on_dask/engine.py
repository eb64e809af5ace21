"""Dask: tasks go through its scheduler, of a cluster that is there already or of one made in this process.

A thread of a Dask worker takes a task and minds it; what does it is an interpreter beside that worker
(`cbtool.backends.lanes`). What Dask carries is JSON as text, and the name of a function.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import Coroutine, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import ExitStack
from itertools import count
from typing import Any

from distributed import KilledWorker, Status, get_worker

from cbtool.backends import lanes
from cbtool.backends.on_dask.cluster import configured, joined, own_cluster
from cbtool.contracts import EngineSettings, Frame, Limits
from cbtool.errors import CbtoolError, ConfigError, TryAgain, Unavailable, WorkerDied, revive

OVERHEAD_S = 0.015
"""About what a call takes besides its task, by `benchmarks.engines`: two at once end 130 empty tasks a second."""


class Dask:
    """Runs tasks on the cluster at ``settings.scheduler``, or on one of this process, which opens no port.

    ``settings.config`` is a file of Dask's own settings (YAML). Without ``settings.workers`` there are as many tasks at
    once as the cluster has threads when it is joined; one that grows as tasks come is told the number.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self._name = f"cbtool-{secrets.token_hex(6)}"
        self._numbers = count()
        self._theirs: dict[Future[Frame], Any] = {}
        with ExitStack() as stack:
            stack.enter_context(configured(settings.config))
            if settings.scheduler is None:
                workers, remote = settings.workers or len(os.sched_getaffinity(0)), False
                self._where = "the Dask cluster of this process"
                self._client = stack.enter_context(own_cluster(workers))
                stack.callback(lanes.dismiss, self._name)
            else:
                self._where = settings.scheduler
                cluster = stack.enter_context(joined(settings.scheduler, settings.workers))
                self._client, workers, remote = cluster.client, cluster.workers, cluster.remote
                stack.callback(cluster.tell, lanes.dismiss_soon, self._name)
            self._stack = stack.pop_all()
        self.limits = Limits(settings.memory_bytes, concurrency=workers, remote=remote, overhead_s=OVERHEAD_S)

    def submit(self, task: Mapping[str, Any]) -> Future[Frame]:
        future: Future[Frame] = Future()
        future.set_running_or_notify_cancel()
        key = f"{self._name}-{next(self._numbers)}"
        try:
            theirs = self._client.submit(carry, json.dumps(task), self._name, key=key, pure=False, retries=0)
        except Exception as error:
            future.set_exception(trouble(error, self._where))
            return future
        self._theirs[future] = theirs
        self._soon(self._follow(theirs, future))
        return future

    def cancel(self, future: Future[Frame]) -> None:
        """End the task: the future at once; what does the task, with all that it started, soon after."""
        if (theirs := self._theirs.pop(future, None)) is not None:
            self._soon(self._client.cancel([theirs], asynchronous=True))

    def close(self) -> None:
        for future in list(self._theirs):
            self.cancel(future)
        self._stack.close()

    async def _follow(self, theirs: Any, future: Future[Frame]) -> None:
        """Wait on the client's loop until *theirs* has ended, fetch at once what came of it, and end *future* so."""
        try:
            frame = json.loads(await theirs)
            if "trouble" in frame:
                raise revive(frame["trouble"])
        except BaseException as error:
            was_cancelled = self._theirs.pop(future, None) is None
            future.set_exception(TryAgain("the task was cancelled") if was_cancelled else trouble(error, self._where))
            if not isinstance(error, Exception):
                raise
        else:
            self._theirs.pop(future, None)
            future.set_result(frame)

    def _soon(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._client.loop.asyncio_loop)


def carry(text: str, driver: str) -> str:
    """Do a task in the thread of a Dask worker, unless its driver leaves or cancels it first."""
    worker = get_worker()
    key = worker.get_current_task()

    def is_wanted() -> bool:
        # A task that was let go is 'cancelled', or unknown, here while its thread goes on. A worker closes when its
        # scheduler is gone.
        state = worker.state.tasks.get(key)
        return state is not None and state.state != "cancelled" and worker.status not in (Status.closing, Status.closed)

    return lanes.carry(text, driver, worker.state.nthreads, is_wanted)


def trouble(error: BaseException, where: str) -> CbtoolError:
    """Return what an *error* of Dask's own is for the runner."""
    if isinstance(error, CbtoolError):
        return error
    if isinstance(error, KilledWorker):
        return WorkerDied(
            f"the worker died: {error.last_worker.address} of {where} was lost with the task",
            hint="was it out of memory? more and smaller chunks, or fewer workers (-j)",
        )
    if isinstance(error, (CancelledError, asyncio.CancelledError)):
        return Unavailable(f"{where}: the scheduler is gone")
    if isinstance(error, (ImportError, AttributeError)):
        return ConfigError(f"{where}: cbtool is not the same there: {error}", hint="install it where the workers are")
    return Unavailable(f"{where}: {type(error).__name__}: {error}".rstrip(": "))
