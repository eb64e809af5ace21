"""Tasks and frames as a call of AWS Lambda carries them: in it up to 6 MB, above that by an object in S3.

An event is ``{"task": {…}}`` or ``{"payload": "s3://…"}``, with ``time_s`` and ``results``, where a large frame may go.
An answer is ``{"frame": "…"}``, the frame as text, so that it is JSON of ours and no other library's; or
``{"payload": "s3://…"}``.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

from cbtool.contracts import Frame
from cbtool.destination import Destination, open_destination
from cbtool.errors import CbtoolError, ConfigError, MissingInput, TryAgain

CALL_BYTES = 6 * 1024 * 1024
"""What a call carries each way (AWS: "6 MB each for request and response")."""
ROOM_BYTES = 4096
CURE = 'payloads = "s3://BUCKET/PREFIX" in the file of --engine-config says where larger ones may go'


class Posted:
    """A task made ready for a call; *place* is a prefix for what is too large, or None."""

    def __init__(self, task: Mapping[str, Any], place: str | None, time_s: float | None) -> None:
        self._place = open_destination(place) if place is not None else None
        self._name = f"cbtool-{secrets.token_hex(12)}"
        self._stored: set[str] = set()
        more: dict[str, Any] = {"time_s": time_s} if time_s is not None else {}
        if self._place is not None:
            more["results"] = self._place.locate(f"{self._name}.frame")
        self.event = json.dumps({"task": task, **more}).encode()
        if len(self.event) > CALL_BYTES - ROOM_BYTES:
            self.event = json.dumps({"payload": self._put(json.dumps(task).encode()), **more}).encode()

    def _put(self, data: bytes) -> str:
        if self._place is None:
            raise ConfigError(f"the task has {len(data)} bytes, more than a call of Lambda carries", hint=CURE)
        name = f"{self._name}.task"
        self._stored.add(name)
        self._place.replace(name, [data])
        return self._place.locate(name)

    def frame(self, answer: Mapping[str, Any]) -> Frame:
        """Return the frame that *answer* holds, or that lies where it says."""
        text: str | bytes | None = answer.get("frame")
        if text is None:
            # It says the name that it was told: no other place is read.
            name = f"{self._name}.frame"
            if self._place is None or answer.get("payload") != self._place.locate(name):
                raise ConfigError("the function's answer names a place that it was not told")
            self._stored.add(name)
            text = self._place.read(name)
            if text is None:
                raise TryAgain(f"{answer['payload']}: the answer is not there")
        frame: Frame = json.loads(text)
        return frame

    def clear(self) -> None:
        """Remove what was stored for the call; an invocation that is still to come finds nothing to do."""
        for name in sorted(self._stored):
            assert self._place is not None
            self._place.delete(name)
        self._stored.clear()


def task_of(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the task of *event*, in the function."""
    if "payload" not in event:
        task: dict[str, Any] = event["task"]
        return task
    place, name = _split(event["payload"])
    text = place.read(name)
    if text is None:
        raise MissingInput(f"{event['payload']}: the task is not there; was the call given up?")
    task = json.loads(text)
    return task


def answer_of(frame: Frame, event: Mapping[str, Any], task: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the function answers for *frame*: the frame, where it lies, or the reason why it cannot be had."""
    text = json.dumps(frame)
    # As it travels: once more as a JSON string. Text of ASCII grows by its quotes and backslashes alone.
    n_bytes = len(text) + text.count('"') + text.count("\\")
    if n_bytes <= CALL_BYTES - ROOM_BYTES:
        return {"frame": text}
    try:
        if "results" not in event:
            # Of several tasks each may do alone, which another try has them do.
            kind = TryAgain if "tasks" in task else ConfigError
            raise kind(f"the result has {n_bytes} bytes, more than a call of Lambda carries back", hint=CURE)
        place, name = _split(event["results"])
        place.replace(name, [text.encode()])
    except CbtoolError as error:
        return {"frame": json.dumps(failed(error) | {"spent": frame.get("spent", {})})}
    return {"payload": event["results"]}


def failed(error: CbtoolError) -> Frame:
    """Return the frame of a task that ended with *error*."""
    from cbtool.errors import describe

    return {"error": describe(error), "spent": {}}


def _split(uri: str) -> tuple[Destination, str]:
    top, _, name = uri.rpartition("/")
    return open_destination(top), name
