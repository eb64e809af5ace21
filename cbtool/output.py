"""Files that appear whole or not at all: everything that cbtool writes on this machine goes through here."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from io import UnsupportedOperation
from typing import BinaryIO, cast

from cbtool.errors import CannotWrite, NotAllowed

TEMPORARY = ".cbtool-tmp-"
"""What the names of unfinished files begin with."""

FULL = {errno.ENOSPC: "no space left", errno.EDQUOT: "quota used up", errno.EFBIG: "file too large for this place"}
DENIED = (errno.EACCES, errno.EPERM)
STANDARD_OUTPUT = ("-", "/dev/stdout")
DESCRIPTORS = "/proc/self/fd"
OBJECTS = ("s3://", "gs://", "az://")


def open_output(path: str) -> AbstractContextManager[BinaryIO]:
    """Give the binary file behind a user's ``-o PATH``; an existing file is replaced when the block ends well.

    ``-`` is standard output. A device, FIFO or socket is written directly; a symlink is followed.
    """
    if path in STANDARD_OUTPUT:
        return _standard_output()
    if path.startswith(OBJECTS):
        from cbtool.uploads import writing

        return writing(path)
    path = os.path.realpath(path.removeprefix("file://"))
    with told(path):
        try:
            mode = os.stat(path).st_mode
        except FileNotFoundError:
            mode = stat.S_IFREG
    if stat.S_ISDIR(mode):
        raise CannotWrite(f"{path}: is a folder", hint=f"name a file in it: {path}/NAME", uri=path)
    return appearing(path) if stat.S_ISREG(mode) else _special(path, mode)


@contextmanager
def appearing(path: str, *, exclusive: bool = False) -> Iterator[BinaryIO]:
    """Give a file that takes the name *path* when the block ends well, and leaves nothing when it does not.

    With *exclusive* the name must be free at that moment: NameTaken otherwise.
    """
    folder = os.path.dirname(path) or "."
    temporary = os.path.join(folder, TEMPORARY + os.urandom(8).hex())
    try:
        with told(path):
            file = _nameless(folder) or open(temporary, "xb")
        with not_full(path), file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            with told(path):
                _name(file, temporary, path, exclusive)
        with told(path):
            _sync(folder)
    finally:
        with suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(temporary)


class NameTaken(FileExistsError):
    """The name that a file should take exclusively is another's."""


def _nameless(folder: str) -> BinaryIO | None:
    """Return a new file in *folder* that has no name, so that nothing is left of it if this process is killed.

    None where the file system has no such files (open(2), O_TMPFILE), as NFS, or where they could not be named.
    """
    if not os.path.isdir(DESCRIPTORS):
        return None
    try:
        descriptor = os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
            return None
        raise
    return cast(BinaryIO, open(descriptor, "wb"))


def _name(file: BinaryIO, temporary: str, path: str, exclusive: bool) -> None:
    """Give *file* the name *path*; it has the name *temporary* or none."""
    is_named = os.fstat(file.fileno()).st_nlink > 0
    try:
        if exclusive:
            _link(file, temporary if is_named else None, path)
            return
    except FileExistsError as error:
        raise NameTaken(*error.args) from None
    if not is_named:
        _link(file, None, temporary)
    os.replace(temporary, path)


def _link(file: BinaryIO, name: str | None, path: str) -> None:
    if name is not None:
        os.link(name, path)
    else:
        # A descriptor of a folder is asked for here, though none is needed, because Python follows the link only then.
        os.link(f"{DESCRIPTORS}/{file.fileno()}", path, src_dir_fd=file.fileno(), follow_symlinks=True)


def _sync(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def told(path: str) -> Iterator[None]:
    """Turn an OSError about *path* into one line with the status that it deserves; FileExistsError is left alone."""
    try:
        yield
    except (FileExistsError, BrokenPipeError):
        raise
    except OSError as error:
        kind = NotAllowed if error.errno in DENIED else CannotWrite
        what = FULL.get(error.errno or 0) or (error.strerror or str(error)).lower()
        raise kind(f"{path}: cannot write: {what}", hint=_cure(error.errno), uri=path) from None


def _cure(number: int | None) -> str | None:
    if number in FULL:
        return "make room there, or name another place"
    return "a part of the path is a file: name another place" if number == errno.ENOTDIR else None


@contextmanager
def not_full(path: str) -> Iterator[None]:
    """Tell only what a write can meet, so that an error of the block's own is not put down to *path*."""
    try:
        yield
    except OSError as error:
        if error.errno in (*FULL, errno.EIO) and error.filename is None:
            with told(path):
                raise
        raise


@contextmanager
def _standard_output() -> Iterator[BinaryIO]:
    sys.stdout.flush()
    try:
        # A file of its own, so that nothing stays behind in sys.stdout that cannot be written at exit either.
        file = cast(BinaryIO, open(os.dup(sys.stdout.fileno()), "wb"))
    except UnsupportedOperation:
        yield sys.stdout.buffer
        return
    with not_full("standard output"), file:
        yield file


@contextmanager
def _special(path: str, mode: int) -> Iterator[BinaryIO]:
    with told(path):
        if stat.S_ISSOCK(mode):
            import socket

            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(path)
                file = cast(BinaryIO, connection.makefile("wb"))
        else:
            file = open(os.open(path, os.O_WRONLY | os.O_CLOEXEC), "wb")
    with not_full(path), file:
        yield file
