"""Runs tasks on a backend: retries, time limits and cancellation live here, once, above every engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cbtool.contracts import Backend


@dataclass(frozen=True)
class Outcome:
    """How one task ended: its *result*, or the *error* of its last attempt."""

    number: int
    """The place of the task in what was given."""
    result: Mapping[str, Any] | None
    error: BaseException | None
    attempts: int
    seconds: float
    """Wall time of the last attempt."""


@dataclass(frozen=True)
class Event:
    """Something to tell whoever watches: ``start``, ``retry``, ``done`` or ``failed``."""

    kind: str
    number: int
    attempt: int
    outcome: Outcome | None = None
    error: BaseException | None = None


def run_tasks(
    tasks: Iterable[Mapping[str, Any]],
    backend: Backend,
    *,
    retries: int = 2,
    timeout_s: float | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
) -> Iterator[Outcome]:
    """Run *tasks* and yield their outcomes as they end; a failing task fails alone.

    Takes tasks from the iterable as places come free, so that memory does not grow with their number.
    """
    raise NotImplementedError
