"""What Lithops raises, in cbtool's words."""

from __future__ import annotations

from cbtool.errors import CbtoolError, ConfigError, NotAllowed, TimeLimit, Unavailable, WorkerDied

AWAY = ("ConnectionError", "ConnectTimeout", "ConnectTimeoutError", "EndpointConnectionError", "MaxRetryError")
SETUP = "cbtool backends setup lithops -o DIR/ writes what the workers run in"


def refusal(error: BaseException) -> CbtoolError:
    """Return what to say when Lithops could not be set up, or took no tasks: a setting is wrong, or nobody answers."""
    if isinstance(error, CbtoolError):
        return error
    said = f"lithops: {_line(error)}"
    names = [kind.__name__ for kind in type(error).__mro__]
    if isinstance(error, ModuleNotFoundError):
        return ConfigError(said, hint="install what that backend needs: pip install 'lithops[aws]' (gcp, azure, …)")
    if "ClientError" in names and any(word in said for word in ("AccessDenied", "Forbidden", "InvalidAccessKeyId")):
        return NotAllowed(said, hint="the credentials in Lithops' configuration, or the role, do not allow it")
    if isinstance(error, OSError) or any(name in AWAY for name in names):
        return Unavailable(said, hint="is the service that Lithops' configuration names there?")
    if "version mismatch" in said or "not compatible with the local" in said:
        return ConfigError(said, hint=f"{SETUP}; build it again")
    return ConfigError(said, hint="see Lithops' configuration: --engine-config FILE, or ~/.lithops/config")


def trouble(error: BaseException) -> CbtoolError:
    """Return what to say of a call that ended without a frame."""
    said = _line(error)
    if isinstance(error, MemoryError):
        hint = "was it out of memory? more and smaller chunks, fewer workers (-j), or more memory in Lithops' settings"
        return WorkerDied(f"the worker died: {said}", hint=hint)
    if isinstance(error, TimeoutError):
        return TimeLimit(said, hint="give it more: execution_timeout in Lithops' settings, or --timeout SECONDS")
    if isinstance(error, ImportError):
        return ConfigError(f"the worker lacks a package: {error}", hint=SETUP, missing=error.name)
    if isinstance(error, RuntimeError):
        return WorkerDied(f"the worker died: {said}")
    return Unavailable(f"lithops: {said}")


def _line(error: BaseException) -> str:
    """Return the first line of what *error* says."""
    text = " ".join(str(error).split("\n")[0].split()) or type(error).__name__
    return text if len(text) < 500 else text[:500] + " …"
