"""Lithops in a process of its own: it takes tasks from the driver, has Lithops call `carry`, and hands frames back.

Lithops keeps files in the temporary folder and the home of the process that imports it, sets hooks, and starts threads
that it does not end. Here all of that ends with this process, whose temporary folder is the driver's to remove.
Frames are lines of JSON over the socket FD, as in `cbtool.backends.worker`: the first line opens the executor.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from queue import Empty, SimpleQueue
from typing import Any

from cbtool.backends import group, worker
from cbtool.backends.on_lithops.errors import refusal, trouble
from cbtool.backends.on_lithops.worker import carry
from cbtool.contracts import Frame
from cbtool.errors import CbtoolError, ConfigError, WorkerDied, describe

TICK_S = 0.02
GATHER_S = 0.03
"""How long tasks are gathered into one job of a remote backend, where each job is uploaded and begun on its own."""
GRACE_S = 2 * worker.GRACE_S
READERS = 16
OUTPUT_TRIES = 10


@dataclass
class Call:
    """A task that Lithops has; *future* is Lithops' own."""

    number: int
    future: Any
    leader: int | None = None
    """The session that it runs in, where that is on this machine."""
    kill_at: float | None = None
    """Set once it is to end."""
    is_read: bool = False
    """Whether what it came to is being read."""

    @property
    def key(self) -> str:
        return f"{self.future.job_key}-{self.future.call_id}"

    def has_ended(self) -> bool:
        return bool(self.future.ready or self.future.success or self.future.done)


class Bridge:
    """An executor of Lithops, the threads that feed and watch it, and the calls that are under way."""

    def __init__(self, opening: Mapping[str, Any], channel: worker.Channel) -> None:
        import lithops

        os.environ["HOME"] = opening["home"]
        self.channel, self.opening = channel, opening
        self.executor = lithops.FunctionExecutor(config=opening["config"], log_level=None, **opening["overrides"])
        handler = self.executor.compute_handler
        self.is_here = self.executor.backend == "localhost" and handler.environment.value == "default"
        if self.is_here and shutil.which(handler.runtime_name) is None:
            raise ConfigError(f"lithops: {handler.runtime_name}: no such interpreter", hint="see localhost: runtime")
        if self.is_here and handler.runtime_name == sys.executable:
            self._tell_of_this_interpreter()
        self.calls: dict[int, Call] = {}
        self.unwanted: set[int] = set()
        self.leaving: set[int] = set()
        self.tasks: SimpleQueue[tuple[int, Any] | None] = SimpleQueue()
        self.closing = threading.Event()
        self.pool = ThreadPoolExecutor(READERS)
        self.sender = threading.Thread(target=_to_its_end, args=(self._send,), daemon=True)
        self.watcher = threading.Thread(target=_to_its_end, args=(self._watch,), daemon=True)
        self.sender.start()
        self.watcher.start()

    def _tell_of_this_interpreter(self) -> None:
        """Spare Lithops the start of one to ask for what is known; its packages matter only to who ships modules."""
        from lithops.storage.storage import RUNTIME_META_CACHE

        key = self.executor.compute_handler.get_runtime_key(sys.executable)
        RUNTIME_META_CACHE[f"lithops.runtimes/{key}.meta.json"] = {
            "preinstalls": [],
            "lithops_version": version("lithops"),
            "python_version": f"{sys.version_info.major}.{sys.version_info.minor}",
            "runtime_timeout": None,
        }

    def limits(self) -> dict[str, Any]:
        """Return what the backend allows, as fields of `Limits`."""
        info, section = self.executor.invoker.runtime_info, self.executor.config["lithops"]
        times = [time_s for time_s in (info.get("runtime_timeout"), section["execution_timeout"]) if time_s]
        memory = self.opening["memory_mb"] or info.get("runtime_memory")
        return {
            "concurrency": None if self.is_here else info["max_workers"],
            "memory_bytes": memory * 2**20 if memory and (not self.is_here or self.opening["memory_mb"]) else None,
            "time_s": min(times) if self.opening["timed"] or not self.is_here else None,
            "remote": not self.is_here,
            "price": None if self.executor.backend == "localhost" else self.executor.backend,
        }

    def heed(self, asked: Mapping[str, Any]) -> None:
        """Take one line of the driver's: a task to do, or the number of one to end."""
        if "cancel" in asked:
            self.unwanted.add(asked["cancel"])
        else:
            self.tasks.put((asked["number"], asked["task"]))

    def close(self) -> None:
        """End what runs, let Lithops go, and remove what it put into storage."""
        self.closing.set()
        self.tasks.put(None)
        self.sender.join()
        self.unwanted.update(list(self.calls))
        self.watcher.join()
        self.executor.__exit__(None, None, None)
        if self.executor.config["lithops"]["storage"] != "localhost":
            store, executor_id = self.executor.internal_storage, self.executor.executor_id
            if left := store.storage.list_keys(store.bucket, f"lithops.jobs/{executor_id}"):
                store.storage.delete_objects(store.bucket, left)

    def _answer(self, number: int, frame: Frame | CbtoolError) -> None:
        self.calls.pop(number, None)
        self.unwanted.discard(number)
        fields = {"trouble": describe(frame)} if isinstance(frame, CbtoolError) else {"frame": frame}
        # Should the driver be gone, there is nobody to tell.
        with suppress(BrokenPipeError, ConnectionResetError):
            self.channel.send(json.dumps({"number": number, **fields}).encode())

    # --- the thread that sends -----------------------------------------------------------------------------------

    def _send(self) -> None:
        while (one := self.tasks.get()) is not None:
            tasks = [one, *self._gathered()]
            try:
                if self.closing.is_set():
                    raise RuntimeError("the engine is closed")
                futures = self._map([task for _, task in tasks])
            except Exception as error:
                for number, _ in tasks:
                    self._answer(number, refusal(error))
                continue
            for (number, _), future in zip(tasks, futures, strict=True):
                self.calls[number] = Call(number, future)

    def _gathered(self) -> list[tuple[int, Any]]:
        """Return the tasks that come along with one; on this machine each is a job, which can be ended alone."""
        if self.is_here:
            return []
        time.sleep(GATHER_S)
        found: list[tuple[int, Any]] = []
        with suppress(Empty):
            while (one := self.tasks.get_nowait()) is not None:
                found.append(one)
            self.tasks.put(None)
        return found

    def _map(self, tasks: Sequence[Any]) -> Sequence[Any]:
        here = {"here": {**self.opening["here"], "bridge": os.getpid()}} if self.is_here else {}
        futures = self.executor.map(
            carry,
            [(json.dumps({"task": task, **here}),) for task in tasks],
            include_modules=None,
            runtime_memory=self.opening["memory_mb"],
            timeout=None if self.is_here else self.opening["timeout_s"],
            chunksize=1,
        )
        # Lithops would keep them all for a wait that never comes.
        self.executor.futures.clear()
        return list(futures)

    # --- the thread that watches ---------------------------------------------------------------------------------

    def _watch(self) -> None:
        while self.sender.is_alive() or self.calls or self.leaving:
            for call in list(self.calls.values()):
                if call.is_read:
                    continue
                if self.is_here and call.leader is None:
                    process = self.executor.compute_handler.env.task_processes.get(call.key)
                    call.leader = process.pid if process else None
                if call.number in self.unwanted:
                    self._end(call)
                elif call.has_ended():
                    call.is_read = True
                    self.pool.submit(self._finish, call)
                elif self.is_here and self._is_dead(call):
                    self._answer(call.number, WorkerDied("the worker died before it could say anything"))
            self._sweep()
            time.sleep(TICK_S)

    def _finish(self, call: Call) -> None:
        """Read what *call* came to, and tell the driver."""
        try:
            output = call.future.result(internal_storage=self.executor.internal_storage, retries=OUTPUT_TRIES)
            frame: Frame | CbtoolError = json.loads(output)
        except BaseException as error:
            frame = trouble(error)
        self.executor.job_monitor.remove([call.future])
        if call.leader is not None:
            self.leaving.add(call.leader)
        self._answer(call.number, frame)

    def _is_dead(self, call: Call) -> bool:
        """Say whether the process of *call* has ended and left no word; what it wrote was there before it ended."""
        latch = self.executor.compute_handler.env.jobs[call.future.job_key]
        if not latch.done and (call.leader is None or group.is_alive(call.leader)):
            return False
        future, store = call.future, self.executor.internal_storage
        if store.get_call_status(future.executor_id, future.job_id, future.call_id):
            return False
        self.executor.job_monitor.remove([future])
        if call.leader is not None:
            self.leaving.add(call.leader)
        return True

    def _end(self, call: Call) -> None:
        """End an unwanted call: at once where it runs on this machine, and elsewhere by not waiting for it."""
        if not self.is_here:
            job = call.future.job_key
            if all(one.number in self.unwanted for one in list(self.calls.values()) if one.future.job_key == job):
                self.executor.invoker.discard_pending({job}, {call.future.job_id})
        elif not self._is_gone(call):
            return
        self.executor.job_monitor.remove([call.future])
        self._answer(call.number, WorkerDied("the worker was ended"))

    def _is_gone(self, call: Call) -> bool:
        """Tell the workers of *call* to stop, and insist if they do not; say whether nothing of it is left."""
        env = self.executor.compute_handler.env
        if call.kill_at is None:
            call.kill_at = time.monotonic() + GRACE_S
            with env.task_processes_lock:
                env.stopped_jobs.add(call.future.job_key)
                process = env.task_processes.get(call.key)
            call.leader = process.pid if process else call.leader
            if call.leader is not None:
                _signal_group(call.leader, signal.SIGTERM)
        left = group.in_session(call.leader) if call.leader is not None else []
        if left and time.monotonic() > call.kill_at:
            _kill(left)
        # Behind the worker's own end its command may still be told to clean up after itself.
        return not left

    def _sweep(self) -> None:
        """Kill what calls that have ended left running behind them."""
        for leader in list(self.leaving):
            left = group.in_session(leader)
            if leader not in left or self.closing.is_set():
                # Again until none is left: one may have been started since they were counted.
                _kill(left)
            if not left:
                self.leaving.discard(leader)


def _to_its_end(run: Callable[[], None]) -> None:
    """Do the work of a thread; without it this process is of no use, and ends, which the driver sees."""
    try:
        run()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def _signal_group(leader: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(leader, number)


def _kill(processes: Sequence[int]) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def main(descriptor: int, folder: str) -> None:
    """Do what the driver says over *descriptor* until it is closed; *folder* is removed at the end."""
    channel = worker.Channel(descriptor)
    lines = channel.lines()
    try:
        try:
            bridge = Bridge(json.loads(next(lines)), channel)
        except Exception as error:
            channel.send(json.dumps({"refused": describe(refusal(error))}).encode())
            return
        channel.send(json.dumps({"ready": bridge.limits()}).encode())
        for line in lines:
            bridge.heed(json.loads(line))
        bridge.close()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        shutil.rmtree(folder, ignore_errors=True)
        # Threads of Lithops' own would keep this process.
        os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
