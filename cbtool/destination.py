"""Where outputs go: a folder or an object-store prefix, in which an output appears whole or not at all."""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import suppress

from cbtool.errors import CannotWrite, FormatError, NotAllowed, UsageError
from cbtool.output import TEMPORARY, NameTaken, appearing, told
from cbtool.spending import writing

SAFE_PART = re.compile(r"[A-Za-z0-9._-]+")


class Destination(ABC):
    """A folder or prefix. Names are relative, of ``[A-Za-z0-9._-]+`` parts joined by ``/``, and never leave it."""

    uri: str

    def create(self, name: str, blocks: Iterable[bytes]) -> bool:
        """Write *blocks* under *name* unless that name exists; say whether this call made it.

        The name appears only when all is written (a local file is linked into place, an object is put
        conditionally). Of several that race, exactly one gets True.
        """
        with writing(blocks) as counted:
            return self._create(name, counted)

    @abstractmethod
    def _create(self, name: str, blocks: Iterable[bytes]) -> bool:
        """Do what `create` says."""

    @abstractmethod
    def replace(self, name: str, blocks: Iterable[bytes]) -> None:
        """Write *blocks* under *name*, whole or not at all, in place of what was there."""

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """Return the content of *name*, or None if there is none."""

    @abstractmethod
    def names(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """Yield ``(name, size in bytes)`` of everything under *prefix*, sorted by name; no temporary files."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Remove *name*; it is no error if it is not there."""

    @abstractmethod
    def locate(self, name: str) -> str:
        """Return the URI of *name*, as `open_source` takes it."""


class Folder(Destination):
    """A folder on this machine. Outputs are linked into place; `TEMPORARY` files are never listed."""

    def __init__(self, path: str) -> None:
        self.uri = path.rstrip("/") or "/"
        if os.path.exists(self.uri) and not os.path.isdir(self.uri):
            raise CannotWrite(f"{self.uri}: not a folder", hint="name a folder, or a new name", uri=self.uri)

    def _create(self, name: str, blocks: Iterable[bytes]) -> bool:
        path = self._ready(name)
        if os.path.lexists(path):
            return False
        try:
            with appearing(path, exclusive=True) as file:
                file.writelines(blocks)
        except NameTaken:
            return False
        return True

    def replace(self, name: str, blocks: Iterable[bytes]) -> None:
        with appearing(self._ready(name)) as file:
            file.writelines(blocks)

    def read(self, name: str) -> bytes | None:
        path = self.locate(name)
        try:
            with open(path, "rb") as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except PermissionError:
            raise NotAllowed(f"{path}: permission denied", uri=path) from None

    def names(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        top = prefix.rpartition("/")[0]
        found = []
        for folder, _, files in os.walk(self.locate(top) if top else self.uri, onerror=_unreadable):
            for file in files:
                path = os.path.join(folder, file)
                name = os.path.relpath(path, self.uri)
                if name.startswith(prefix) and not file.startswith(TEMPORARY):
                    with suppress(FileNotFoundError):
                        found.append((name, os.path.getsize(path)))
        yield from sorted(found)

    def delete(self, name: str) -> None:
        path = self.locate(name)
        with told(path), suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(path)

    def locate(self, name: str) -> str:
        path = os.path.join(self.uri, safe(name))
        top, folder = os.path.realpath(self.uri), os.path.realpath(os.path.dirname(path))
        if os.path.commonpath([top, folder]) != top:
            raise CannotWrite(f"{path}: leads out of {self.uri}", hint="remove the symbolic link in it", uri=path)
        return path

    def _ready(self, name: str) -> str:
        """Return the path of *name*, in a folder that is there."""
        path = self.locate(name)
        try:
            with told(path):
                os.makedirs(os.path.dirname(path), exist_ok=True)
        except FileExistsError:
            raise CannotWrite(f"{path}: a part of the path is a file", hint="name another place", uri=path) from None
        return path


def _unreadable(error: OSError) -> None:
    """Tell why a folder cannot be listed; one that is not there has nothing to list."""
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        raise NotAllowed(f"{error.filename}: cannot list: {(error.strerror or '').lower()}", uri=error.filename)


def safe(name: str) -> str:
    """Return *name* if it may be an output's name; FormatError otherwise.

    >>> safe(".cbtool/run.jsonl")
    '.cbtool/run.jsonl'
    """
    for part in name.split("/"):
        if not SAFE_PART.fullmatch(part) or part in (".", "..") or part.startswith(TEMPORARY):
            raise FormatError(
                f"{name!r}: not a name that an output may have",
                hint="names are of A-Z a-z 0-9 . _ - and stay below the destination",
                name=name,
            )
    return name


def open_destination(uri: str) -> Destination:
    """Open the folder or prefix at *uri*; a folder is made when something is first written."""
    scheme = uri.partition("://")[0].lower() if "://" in uri else "file"
    if scheme == "file":
        return Folder(uri.removeprefix("file://"))
    if scheme not in ("s3", "gs", "az"):
        raise UsageError(
            f"{scheme}://: cbtool cannot write there", hint="name a folder or an s3://, gs:// or az:// prefix"
        )
    from cbtool.uploads import ObjectDestination

    return ObjectDestination(uri)


def absolute(destination: Destination) -> str:
    """Return where *destination* is, wherever a worker stands."""
    return os.path.abspath(destination.uri) if isinstance(destination, Folder) else destination.uri
