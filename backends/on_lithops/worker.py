"""What Lithops' own workers call: a task as text goes in, its frame as text comes out."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import tempfile
import threading
from contextlib import suppress

from cbtool.backends import worker
from cbtool.spending import process_age_s


def carry(text: str) -> str:
    """Do the task in *text*, and return its frame.

    ``here`` in it is for workers on the driver's machine: where modules are (``path``), where temporary files of
    tasks go (``tmp``; Lithops' own files go elsewhere), and which process they are not to outlive (``bridge``). Each
    is an interpreter of its own, in a session of its own, and tells how long that took to start.
    """
    call = json.loads(text)
    if here := call.get("here"):
        sys.path[:] = here["path"] + [path for path in sys.path if path not in here["path"]]
        os.environ["TMPDIR"], tempfile.tempdir = here["tmp"], None
        worker.start_s = process_age_s(os.getsid(0))
        worker.heed_signals()
        threading.Thread(target=_watch, args=(here["bridge"],), daemon=True).start()
    try:
        return json.dumps(worker.perform(call["task"]))
    except worker.Stopped:
        worker.leave()
        raise


def _watch(process: int) -> None:
    """Stop this worker when *process* is gone."""
    with suppress(ProcessLookupError):
        poll = select.poll()
        poll.register(os.pidfd_open(process), select.POLLIN)
        poll.poll()
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
