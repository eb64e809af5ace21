"""What Lithops' own workers call: a task as text goes in, its frame as text comes out."""

from __future__ import annotations

import json
import os
import sys
import tempfile

from cbtool.backends import worker
from cbtool.spending import process_age_s


def carry(text: str) -> str:
    """Do the task in *text*, and return its frame.

    ``here`` in it is for workers on the driver's machine: where modules are (``path``), and where temporary files of
    tasks go (``tmp``; Lithops' own workers must be given another place than the user's). Each is an interpreter of
    its own, in a session of its own, and tells how long that took to start.
    """
    call = json.loads(text)
    if here := call.get("here"):
        sys.path[:] = here["path"] + [path for path in sys.path if path not in here["path"]]
        os.environ["TMPDIR"], tempfile.tempdir = here["tmp"], None
        worker.start_s = process_age_s(os.getsid(0))
        worker.heed_signals()
    try:
        return json.dumps(worker.perform(call["task"]))
    except worker.Stopped:
        worker.leave()
        raise
