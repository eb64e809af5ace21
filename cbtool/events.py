"""What a job tells whoever watches it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cbtool.chunk import Chunk
    from cbtool.runner import Outcome


@dataclass(frozen=True)
class JobEvent:
    """Something to tell whoever watches: ``begin``, ``start``, ``retry``, ``done`` or ``failed``."""

    kind: str
    chunk: Chunk | None = None
    attempt: int = 0
    outcome: Outcome | None = None
    error: BaseException | None = None
    total: int = 0
    kept: int = 0
    """With ``begin``: how many chunks there are, and how many an earlier run has done."""
