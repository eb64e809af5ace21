"""Who may read what holds excerpts of data: nobody who may not read the data."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from io import UnsupportedOperation
from typing import BinaryIO

PRIVATE = 0o600


def readable_like(uris: Iterable[str]) -> int:
    """Return a mode for whoever may read all of *uris*: of files as they have it, of objects the owner alone."""
    mode = 0o666
    for uri in uris:
        mode &= PRIVATE if "://" in uri else stat.S_IMODE(os.stat(uri).st_mode) | PRIVATE
    return mode


def restrict(file: BinaryIO, mode: int) -> None:
    """Give a regular file that is being written *mode*, less the umask's bits; leave anything else as it is."""
    try:
        status = os.fstat(file.fileno())
    except (UnsupportedOperation, AttributeError):
        return
    if stat.S_ISREG(status.st_mode):
        os.fchmod(file.fileno(), mode & stat.S_IMODE(status.st_mode))
