"""What can go wrong that the user can act on: one class for each exit status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class CbtoolError(Exception):
    """Something the user can act on; shown as one line, without a traceback.

    *message* says what and where; *hint* says what to do; *facts* keeps the parts for programs (``--json``).
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None, **facts: object) -> None:
        super().__init__(message)
        self.hint = hint
        self.facts = facts

    def __reduce__(self) -> tuple[object, ...]:
        return _revive, (type(self), self.args[0], self.hint, self.facts)


def _revive(kind: type[CbtoolError], message: str, hint: str | None, facts: dict[str, object]) -> CbtoolError:
    return kind(message, hint=hint, **facts)


class UsageError(CbtoolError):
    """What was asked makes no sense, or cannot be done with this source."""

    exit_code = 2


class ChunksFailed(CbtoolError):
    """Some chunks failed; the others are done."""

    exit_code = 3


class StaleError(CbtoolError):
    """The source is not the one that was planned or indexed."""

    exit_code = 4


class FormatError(CbtoolError):
    """The bytes are not what the format says they should be."""

    exit_code = 65


class NeedsIndex(FormatError):
    """No cut can be proven from a few small reads; a pass over the source could."""


class MissingInput(CbtoolError):
    """There is no such source."""

    exit_code = 66


class Unavailable(CbtoolError):
    """A service does not answer."""

    exit_code = 69


class CannotWrite(CbtoolError):
    """The output cannot be created or written."""

    exit_code = 73


class TryAgain(CbtoolError):
    """It failed for a reason that may pass."""

    exit_code = 75


class NotAllowed(CbtoolError):
    """Permission denied."""

    exit_code = 77


class ConfigError(CbtoolError):
    """A setting is wrong."""

    exit_code = 78


class WorkerDied(TryAgain):
    """The process that ran a task was killed, or ended by itself."""


class TimeLimit(TryAgain):
    """A task took longer than it was allowed to."""


class TaskFailed(CbtoolError):
    """The user's own command or function failed; *facts* have its status and stderr, or its traceback."""

    exit_code = 3


def describe(error: BaseException) -> dict[str, Any]:
    """Return what of *error* travels as JSON: ours with all that they say, others with their traceback."""
    if isinstance(error, CbtoolError):
        kinds = [kind.__name__ for kind in type(error).__mro__ if kind.__module__ == CbtoolError.__module__]
        facts = {name: fact if _is_plain(fact) else str(fact) for name, fact in error.facts.items()}
        return {"kind": kinds[0], "message": str(error), "hint": error.hint, "facts": facts}
    import traceback

    text = "".join(traceback.format_exception(error))
    message = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return {"message": message, "facts": {"type": type(error).__name__, "traceback": text}}


def revive(error: Mapping[str, Any]) -> CbtoolError:
    """Return the exception that `describe` described: of its own class if that is one of ours, else TaskFailed."""
    kind = globals().get(error.get("kind", ""), TaskFailed)
    revived = kind(error["message"], hint=error.get("hint"), **error.get("facts", {}))
    assert isinstance(revived, CbtoolError)
    return revived


def _is_plain(fact: object) -> bool:
    return fact is None or isinstance(fact, (str, int, float, bool))
