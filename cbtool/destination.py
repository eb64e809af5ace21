"""Where outputs go: a folder or an object-store prefix, in which an output appears whole or not at all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator


class Destination(ABC):
    """A folder or prefix. Names are relative, of ``[A-Za-z0-9._-]+`` parts joined by ``/``, and never leave it."""

    uri: str

    @abstractmethod
    def create(self, name: str, blocks: Iterable[bytes]) -> bool:
        """Write *blocks* under *name* unless that name exists; say whether this call made it.

        The name appears only when all is written (a local file is linked into place, an object is put
        conditionally). Of several that race, exactly one gets True.
        """

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


def open_destination(uri: str) -> Destination:
    """Open the folder or prefix at *uri*; a folder is made when something is first written."""
    raise NotImplementedError
