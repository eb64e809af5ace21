"""What comes back from AWS Lambda: a frame, a failure of the function, the end of its sandbox, a refusal.

The names of errors are those of the Invoke API and of the runtime interface (https://docs.aws.amazon.com/lambda/).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from cbtool.errors import (
    CbtoolError,
    ConfigError,
    NotAllowed,
    TaskFailed,
    TimeLimit,
    TryAgain,
    Unavailable,
    WorkerDied,
)

TIMED_OUT = re.compile(r"Task timed out after ([\d.]+) seconds")
ENDED = re.compile(r"Runtime exited[^\"]*|signal: \w+")
USED = re.compile(r"Memory Size: (\d+) MB\s+Max Memory Used: (\d+) MB")
KEPT_CHARACTERS = 4096

IMAGE = (
    "Runtime.ImportModuleError",
    "Runtime.HandlerNotFound",
    "Runtime.UserCodeSyntaxError",
    "Runtime.InvalidEntrypoint",
)
KEYS = (
    "UnrecognizedClientException",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "InvalidClientTokenId",
    "IncompleteSignature",
    "MissingAuthenticationTokenException",
    "ExpiredTokenException",
    "ExpiredToken",
    "KMSAccessDeniedException",
)
BROKEN = "InvalidRuntimeException", "InvalidZipFileException", "InvalidSecurityGroupIDException", "KMSDisabledException"


def opened(body: bytes, is_error: bool, log: str, function: str) -> Mapping[str, Any]:
    """Return the answer of cbtool's handler in *body*; raise what else it means.

    *is_error*: the service says so (``X-Amz-Function-Error``). The emulator does not, so the body is looked at too.
    *log* is the end of what the invocation wrote, where the service sends it.
    """
    text = body.decode("utf-8", "replace")
    try:
        said = json.loads(text)
    except ValueError:
        said = None
    if not is_error and isinstance(said, dict) and ("frame" in said or "payload" in said):
        return said
    facts = said if isinstance(said, dict) else {}
    # The emulator tells of its time-out in plain text.
    message = text if is_error and not facts or TIMED_OUT.fullmatch(text) else str(facts.get("errorMessage", ""))
    raise _failure(str(facts.get("errorType", "")), message, facts, log, function)


def _failure(kind: str, message: str, facts: Mapping[str, Any], log: str, function: str) -> CbtoolError:
    more = {"stderr": log[-KEPT_CHARACTERS:]} if log else {}
    if (late := TIMED_OUT.search(message)) or kind == "Sandbox.Timedout":
        after = f" ({float(late[1]):g} s)" if late else ""
        hint = "more and smaller chunks, or a longer time-out of the function (up to 900 s)"
        return TimeLimit(f"the function's time-out was over{after}", hint=hint, **more)
    if kind in ("Runtime.ExitError", "Runtime.OutOfMemory", "Runtime.Unknown") or ENDED.search(message):
        return _death(kind, message, log, more)
    if kind in IMAGE:
        hint = "is cbtool in its image? cbtool backends setup lambda"
        return ConfigError(f"{function}: {message}", hint=hint, **more)
    if kind.startswith(("Runtime.", "Sandbox.", "Extension.")):
        return WorkerDied(f"the function failed: {kind}: {message}", **more)
    if kind or message:
        trace = "".join(map(str, facts.get("stackTrace") or ()))
        return TaskFailed(f"{kind}: {message}" if kind else message, type=kind, traceback=trace, **more)
    return ConfigError(
        f"{function}: it answers, and not as cbtool's handler does",
        hint="its handler must be cbtool.backends.lambda_handler.handler: cbtool backends setup lambda",
        **more,
    )


def _death(kind: str, message: str, log: str, more: Mapping[str, str]) -> WorkerDied:
    found, used = ENDED.search(message), USED.search(log)
    how = found[0].rstrip() if found else message
    if kind == "Runtime.OutOfMemory" or (used and int(used[2]) >= int(used[1])):
        size = f" of {used[1]} MB" if used else ""
        how, hint = f"out of memory{size}", "more and smaller chunks, or more memory for the function"
    elif "signal: killed" in message:
        hint = "was it out of memory? more and smaller chunks, or more memory for the function"
    else:
        return WorkerDied(f"the worker died: {how}", **more)
    return WorkerDied(f"the worker died: {how}", hint=hint, **more)


def is_throttled(status: int, code: str) -> bool:
    """Say whether the service had no room, and took nothing."""
    return status == 429 or code in ("ThrottlingException", "Throttling")


def refusal(status: int, code: str, message: str, function: str) -> CbtoolError:
    """Return what an error of the Invoke API means: nothing ran."""
    what = f"{function}: {message or code}"
    if code == "ResourceNotFoundException" or status == 404:
        hint = "look at function, qualifier and region; cbtool backends setup lambda says how to make it"
        return ConfigError(f"{function}: no such function: {message or code}", hint=hint)
    if code in KEYS or status == 401:
        # The texts of these say what was signed.
        return NotAllowed(f"{function}: not allowed ({code})", hint="the credentials are wrong, or have expired")
    if status == 403:
        return NotAllowed(what, hint="the credentials need lambda:InvokeFunction", forbidden=True)
    if code.startswith("Resource") and code != "ResourceNotFoundException":
        return TryAgain(what, hint="the function is being changed, or wakes up")
    if code in BROKEN or 400 <= status < 500:
        return ConfigError(what)
    return Unavailable(f"{function}: Lambda answered {status} ({code})", hint="try again later")


def trouble(error: Exception, function: str) -> CbtoolError:
    """Return what a `BotoCoreError` means: the service was not reached, or the settings do not do."""
    from botocore import exceptions as of

    name = type(error).__name__
    if isinstance(error, (of.NoCredentialsError, of.PartialCredentialsError, of.CredentialRetrievalError, of.SSOError)):
        return NotAllowed(
            f"{function}: AWS credentials: {error}", hint="aws configure, aws sso login, or AWS_* variables"
        )
    if isinstance(error, (of.HTTPClientError, of.ConnectionError)):
        return Unavailable(f"{function}: Lambda is not reached: {error}", hint="try again later")
    return ConfigError(f"{function}: {name}: {error}", hint="look at region and endpoint, and the AWS_* variables")
