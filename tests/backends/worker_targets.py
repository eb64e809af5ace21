"""What the tests have workers do."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cbtool.backends.group import process_group, wait_for
from cbtool.errors import FormatError
from tests.processes import until

Task = Mapping[str, Any]


def echo(task: Task) -> dict[str, Any]:
    return {"n": task["n"]}


def pid(task: Task) -> dict[str, Any]:
    return {"pid": os.getpid(), "parent": os.getppid()}


def folder(task: Task) -> dict[str, Any]:
    return {"folder": tempfile.gettempdir()}


def chatter(task: Task) -> dict[str, Any]:
    print("this is not a frame")
    os.write(1, b'{"result": 1}\n')
    return {"n": 1}


def die(task: Task) -> dict[str, Any]:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def die_once(task: Task) -> dict[str, Any]:
    """Die the first time; *mark* remembers."""
    if not os.path.exists(task["mark"]):
        Path(task["mark"]).touch()
        die(task)
    return {"n": 1}


def kill_parent_once(task: Task) -> dict[str, Any]:
    """Kill the process that started this worker, the first time; *mark* remembers."""
    if not os.path.exists(task["mark"]):
        Path(task["mark"]).touch()
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
    return {"n": 1}


def bad_format(task: Task) -> dict[str, Any]:
    raise FormatError("x.gz: bad", hint="unpack it", offset=7)


def wrong(task: Task) -> dict[str, Any]:
    raise ZeroDivisionError("by nothing")


def leave(task: Task) -> dict[str, Any]:
    sys.exit(5)


def large(task: Task) -> dict[str, Any]:
    return {"text": "x" * task["size"], "got": len(task["text"])}


def hoard(task: Task) -> dict[str, Any]:
    """Ask for more memory than *limit* bytes of it allow."""
    resource.setrlimit(resource.RLIMIT_AS, (task["limit"], resource.getrlimit(resource.RLIMIT_AS)[1]))
    try:
        return {"n": len(bytearray(4 * task["limit"]))}
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.getrlimit(resource.RLIMIT_AS)[1]))


def slow(task: Task) -> dict[str, Any]:
    time.sleep(task["seconds"])
    return {}


def await_file(task: Task) -> dict[str, Any]:
    """Go on once *file* is there."""
    until(lambda: os.path.exists(task["file"]), 60)
    return {}


def spin(task: Task) -> dict[str, Any]:
    """Begin things that would stay: a command and its children, a child of the worker; say their numbers in *file*."""
    child = subprocess.Popen(["sleep", "300"])
    with process_group(["bash", "-c", "sleep 300 & sleep 300 & wait"]) as process:
        Path(task["file"] + ".part").write_text(f"{os.getpid()} {child.pid} {process.pid}")
        os.rename(task["file"] + ".part", task["file"])
        wait_for(process)
    return {}


def stuck(task: Task) -> dict[str, Any]:
    """Do not listen to anything."""
    Path(task["file"]).touch()
    while True:
        try:
            time.sleep(60)
        except BaseException:
            continue
