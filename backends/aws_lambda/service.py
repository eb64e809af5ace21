"""The API of AWS Lambda as the engine needs it: what a function may take, and invoking it. By boto3."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from cbtool.backends.aws_lambda import answers as answers
from cbtool.backends.aws_lambda.settings import LambdaSettings
from cbtool.errors import ConfigError, NotAllowed, TryAgain, Unavailable
from cbtool.runner import backoff_s

LONGEST_S = 900.0
"""What Lambda allows a function at most."""
PATIENCE_S = 60.0
"""How much longer than a function may take its answer is waited for."""
CONNECT_S = 10.0
THROTTLED_S = 900.0
"""How long a call waits for room before it is given up."""


class Refused(NamedTuple):
    """An error that the service answered."""

    status: int
    code: str
    message: str
    after_s: float
    """How long it asks to wait."""


class Service:
    """One function, over one pool of connections."""

    def __init__(self, settings: LambdaSettings) -> None:
        self.settings = settings
        self._session: Any = None
        self._client = self._connect(LONGEST_S, 1)
        try:
            self.memory_bytes, self.time_s = self._configuration()
        except BaseException:
            self.close()
            raise

    def _connect(self, longest_s: float, at_once: int) -> Any:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        how = Config(
            connect_timeout=CONNECT_S,
            read_timeout=longest_s + PATIENCE_S,
            max_pool_connections=at_once,
            retries={"total_max_attempts": 1},  # tries are the runner's, which counts them
            tcp_keepalive=True,  # a network may forget a connection that says nothing for some minutes
        )
        try:
            self._session = self._session or boto3.Session(region_name=self.settings.region)
            return self._session.client("lambda", endpoint_url=self.settings.endpoint, config=how)
        except (BotoCoreError, ValueError) as error:
            raise answers.trouble(error, self.settings.function) from None

    def ready_for(self, at_once: int) -> None:
        """Make room for so many calls at a time, and for as many whose answers nobody waits for any more."""
        self.close()
        self._client = self._connect(self.time_s, 2 * at_once)

    def close(self) -> None:
        self._client.close()

    def _configuration(self) -> tuple[int | None, float]:
        """Return the memory (bytes) and the time-out (seconds) of the function; as the file says where none may ask."""
        try:
            said = self._ask(self._client.get_function_configuration, **self._named())
        except NotAllowed as error:
            if not error.facts.get("forbidden"):
                raise
            return self.settings.memory, min(self.settings.timeout_s or LONGEST_S, LONGEST_S)
        if said.get("State") == "Failed":
            raise ConfigError(f"{self.settings.function}: cannot run: {said.get('StateReason', 'its state is Failed')}")
        return int(said["MemorySize"]) * 2**20, float(said["Timeout"])

    def reserved(self) -> int | None:
        """Return how many invocations the function may have at once, if that is set and may be asked."""
        try:
            said = self._ask(self._client.get_function_concurrency, FunctionName=self.settings.function)
        except (NotAllowed, ConfigError):
            return None
        return said.get("ReservedConcurrentExecutions") or None

    def invoke(self, event: bytes, is_given_up: Callable[[float], bool]) -> Mapping[str, Any]:
        """Invoke the function with *event* and return the answer of its handler.

        Where the service has no room it is asked again after a while, for that is no try of the task;
        *is_given_up* waits so many seconds, or until it may say that nobody wants the answer.
        """
        began, tries = time.monotonic(), 0
        while not is_given_up(0):
            try:
                said = self._ask(self._client.invoke, Payload=event, LogType="Tail", **self._named())
            except _Throttled as error:
                tries += 1
                if time.monotonic() - began > THROTTLED_S:
                    hint = "fewer at once (-j N), or more concurrency for the function"
                    raise Unavailable(f"{self.settings.function}: throttled for {THROTTLED_S:g} s", hint=hint) from None
                is_given_up(max(backoff_s(tries), error.after_s))
                continue
            log = base64.b64decode(said.get("LogResult") or "").decode("utf-8", "replace")
            return answers.opened(said["Body"], bool(said.get("FunctionError")), log, self.settings.function)
        raise TryAgain("the task was cancelled")

    def _named(self) -> dict[str, str]:
        qualifier = {"Qualifier": self.settings.qualifier} if self.settings.qualifier else {}
        return {"FunctionName": self.settings.function, **qualifier}

    def _ask(self, call: Callable[..., Mapping[str, Any]], **words: Any) -> Mapping[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            said = call(**words)
            return {**said, "Body": said["Payload"].read()} if "Payload" in said else said
        except ClientError as error:
            refused = _refused(error.response)
            if answers.is_throttled(refused.status, refused.code):
                raise _Throttled(refused.after_s) from None
            raise answers.refusal(refused.status, refused.code, refused.message, self.settings.function) from None
        except BotoCoreError as error:
            raise answers.trouble(error, self.settings.function) from None


class _Throttled(TryAgain):
    def __init__(self, after_s: float) -> None:
        super().__init__("the service is short of room")
        self.after_s = after_s


def _refused(response: Mapping[str, Any]) -> Refused:
    error, meta = response.get("Error", {}), response.get("ResponseMetadata", {})
    after = meta.get("HTTPHeaders", {}).get("retry-after", "")
    return Refused(
        meta.get("HTTPStatusCode", 0),
        error.get("Code", ""),
        error.get("Message", ""),
        float(after) if after.isdecimal() else 0.0,
    )
