"""The record of a run, kept in ``DEST/.cbtool/``: what the run is, what it makes, and how every attempt ended.

The outputs are the truth: a chunk is done if all its outputs are there, whatever the records say.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cbtool.chunk import Chunk
from cbtool.destination import Destination, Folder, safe
from cbtool.errors import CannotWrite, CbtoolError, FormatError, MissingInput
from cbtool.output import told
from cbtool.report.drivers import Beat, drivers

HOME = ".cbtool/"
RUN, PLAN, OUTPUTS = HOME + "run.json", HOME + "plan.jsonl", HOME + "outputs.jsonl"
ATTEMPTS, SEGMENTS, FOLDERS = HOME + "attempts.jsonl", HOME + "attempts-", HOME + "folders/"
SEGMENT_RECORDS = 1000
SEGMENT_S = 30.0

Record = Mapping[str, Any]
Made = tuple[Chunk, Sequence[str]]
"""A chunk and the names of its outputs; a name that ends in ``/`` is a folder."""


@dataclass(frozen=True)
class RunKey:
    """What a destination belongs to: everything that shapes its outputs."""

    plan: str
    chunks: int
    task: str
    parameters: Mapping[str, Any]

    def fields(self) -> dict[str, Any]:
        """Return it as JSON, with its hash."""
        said = {"plan": self.plan, "chunks": self.chunks, "task": self.task, "parameters": dict(self.parameters)}
        text = json.dumps(said, sort_keys=True, separators=(",", ":"))
        return {"v": 1, "key": hashlib.blake2b(text.encode(), digest_size=16).hexdigest(), **json.loads(text)}


class Ledger:
    """A destination that belongs to one run: which chunks are done, and a record of every attempt."""

    def __init__(self, destination: Destination, clock: Callable[[], float] = time.time) -> None:
        self.destination, self._clock = destination, clock
        self.trouble: CbtoolError | None = None
        """Why a record was not kept, if one was not."""
        self._write: Callable[[Record], None] | None = None
        self._segment = _Segment(destination)

    @staticmethod
    def claim(destination: Destination, key: RunKey, made: Sequence[Made], *, force: bool = False) -> Ledger:
        """Make *destination* that of the run *key*, or find it so; CannotWrite if it is another's.

        With *force*, what the ledger there names is removed first, and nothing else.
        """
        if force:
            remove(destination)
        if (there := _read_run(destination)) is None:
            _refuse_foreign(destination, made)
            said = json.dumps(key.fields(), indent=1) + "\n"
            there = key.fields() if destination.create(RUN, [said.encode()]) else _read_run(destination)
        _refuse_other(destination, key.fields(), there or {})
        _keep(destination, PLAN, {chunk.chunk: chunk.to_line() for chunk, _ in made})
        _keep(destination, OUTPUTS, {c.chunk: json.dumps({"chunk": c.chunk, "outputs": list(o)}) for c, o in made})
        return Ledger(destination)

    def record(self, **record: Any) -> None:
        """Keep how an attempt ended; *record* may say how many ``seconds`` it took."""
        at = self._clock()
        line = {"at": round(at, 3), "submitted": round(at - record.get("seconds", 0.0), 3), **record}
        self._kept(lambda: self._segment.add(line))

    def close(self) -> None:
        """Write what has not been written yet."""
        self._kept(self._segment.close)

    def _kept(self, write: Callable[[], None]) -> None:
        # What lies there is the truth, so that a record that cannot be written is no reason to end the work.
        try:
            write()
        except CbtoolError as error:
            self.trouble = error


class _Segment:
    """Records on their way: appended to a file on this machine, gathered to numbered objects elsewhere."""

    def __init__(self, destination: Destination) -> None:
        self.destination = destination
        self.path = destination.locate(ATTEMPTS) if isinstance(destination, Folder) else None
        self.waiting: list[str] = []
        self.since = time.monotonic()

    def add(self, record: Record) -> None:
        line = json.dumps(record, separators=(",", ":")) + "\n"
        if self.path is not None:
            with told(self.path):
                # One write of a whole line at the end of the file: two runs at once do not mix theirs.
                descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
                try:
                    os.write(descriptor, line.encode())
                finally:
                    os.close(descriptor)
            return
        self.waiting.append(line)
        if len(self.waiting) >= SEGMENT_RECORDS or time.monotonic() - self.since > SEGMENT_S:
            self.close()

    def close(self) -> None:
        if self.waiting:
            number = sum(1 for _ in self.destination.names(SEGMENTS))
            while not self.destination.create(f"{SEGMENTS}{number:05}.jsonl", ["".join(self.waiting).encode()]):
                number += 1
        self.waiting, self.since = [], time.monotonic()


def outputs(destination: Destination) -> dict[int, list[str]]:
    """Return the names that the ledger of *destination* gives to each chunk's outputs."""
    found = {}
    for line in _lines(destination, OUTPUTS):
        try:
            one = json.loads(line)
            found[int(one["chunk"])] = [_checked(name) for name in one["outputs"]]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise FormatError(f"{destination.uri}/{OUTPUTS}: not a ledger", hint="was it edited?") from None
    return found


def _checked(name: str) -> str:
    safe(name.removesuffix("/"))
    return name


def done(destination: Destination, made: Mapping[int, Sequence[str]]) -> set[int]:
    """Return the chunks whose outputs are all there."""
    there = {name for name, _ in destination.names()}
    return {chunk for chunk, names in made.items() if all(proof(name) in there for name in names)}


def proof(name: str) -> str:
    """Return the name that is there exactly if the output *name* is: a folder's is written after all its files."""
    return FOLDERS + name.removesuffix("/") if name.endswith("/") else name


def remove(destination: Destination) -> None:
    """Remove the outputs that the ledger of *destination* names, and then the ledger."""
    if _read_run(destination) is None:
        return
    for name in (name for names in outputs(destination).values() for name in names):
        inside = [one for one, _ in destination.names(name)] if name.endswith("/") else []
        for one in (*inside, proof(name)):
            destination.delete(one)
    for name in (name for name, _ in list(destination.names(HOME)) if name != RUN):
        destination.delete(name)
    destination.delete(RUN)


@dataclass(frozen=True)
class Status:
    """What a run has done and is doing."""

    run: Mapping[str, Any]
    done: Sequence[int]
    """The chunks whose outputs are all there."""
    failed: Mapping[int, Record]
    """The last record of each chunk that failed, and that nobody tries again."""
    running: Mapping[int, float]
    """Chunks in the hands of a driver that lives, and since when (seconds since the epoch)."""
    to_come: Sequence[int]
    alive: Sequence[Beat]
    """The drivers that are at work."""
    gone: Sequence[Beat]
    """The drivers that ended without a word: killed, or cut off from the destination."""


def status(destination: Destination, clock: Callable[[], float] = time.time) -> Status:
    """Say what the run on *destination* has done and is doing; MissingInput if there is none.

    A driver lives if its last sign of life is fresh by *clock*: machines whose clocks differ by more than a few beats
    cannot tell of each other.
    """
    run = _read_run(destination)
    if run is None:
        raise MissingInput(f"{destination.uri}: no run has begun there", hint="name the folder given to run -o")
    made = outputs(destination)
    finished = done(destination, made)
    last = {record["chunk"]: record for record in records(destination) if record.get("ended") != "retry"}
    now, beats = clock(), drivers(destination)
    alive = [beat for beat in beats if beat.is_alive(now)]
    gone = [beat for beat in beats if beat.ended is None and not beat.is_alive(now)]
    running = {k: since for beat in alive for k, since in beat.running.items() if k in made and k not in finished}
    open_ = [chunk for chunk in sorted(made) if chunk not in finished and chunk not in running]
    failed = {k: last[k] for k in open_ if k in last and last[k].get("ended") == "failed"}
    to_come = [chunk for chunk in open_ if chunk not in failed]
    return Status(run, sorted(finished), failed, dict(sorted(running.items())), to_come, alive, gone)


def records(destination: Destination) -> Iterator[Record]:
    """Yield the records of all attempts; a line that was cut off by a crash is passed over."""
    for name in [ATTEMPTS, *(name for name, _ in destination.names(SEGMENTS))]:
        for line in _lines(destination, name):
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict) and isinstance(record.get("chunk"), int):
                yield record


def _lines(destination: Destination, name: str) -> list[bytes]:
    return (destination.read(name) or b"").splitlines()


def _read_run(destination: Destination) -> dict[str, Any] | None:
    content = destination.read(RUN)
    if content is None:
        return None
    try:
        run = json.loads(content)
    except ValueError:
        run = None
    if not isinstance(run, dict) or not isinstance(run.get("key"), str):
        raise FormatError(f"{destination.uri}/{RUN}: not a ledger", hint="name another destination")
    return run


def _refuse_foreign(destination: Destination, made: Iterable[Made]) -> None:
    try:
        there = {name for name, _ in destination.names()}
    except MissingInput as error:
        raise CannotWrite(str(error), hint="make the bucket first, or name another", **error.facts) from None
    folders = {name.partition("/")[0] + "/" for name in there}
    for name in (name for _, names in made for name in names):
        # Another driver may have begun, and made this name, since run.json was looked for.
        if (name in there or name in folders) and _read_run(destination) is None:
            raise CannotWrite(
                f"{destination.uri}: {name} is there already, and no run of cbtool made it",
                hint="remove it, or name another destination",
            )


def _refuse_other(destination: Destination, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    if theirs.get("key") == ours["key"]:
        return
    here, there = ({**run, **run.get("parameters", {})} for run in (ours, theirs))
    differ = [
        f"{name} {_short(there.get(name))} there, {_short(here.get(name))} here"
        for name in dict.fromkeys((*here, *there))
        if here.get(name) != there.get(name) and name not in ("key", "parameters")
    ]
    raise CannotWrite(
        f"{destination.uri}: belongs to another run: {'; '.join(differ)}",
        hint="name another destination; --force first removes what that run made",
        there=theirs.get("key"),
        here=ours["key"],
    )


def _short(value: object) -> str:
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        value = shlex.join(value) if len(value) > 1 else "".join(value)
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 120 else text[:117] + "..."


def _keep(destination: Destination, name: str, lines: Mapping[int, str]) -> None:
    """Have *name* hold *lines*, beside those of other chunks that an earlier part of the run left there."""
    there = {json.loads(line)["chunk"]: line.decode() for line in _lines(destination, name)}
    if any(there.get(number) != line for number, line in lines.items()):
        merged = {**there, **lines}
        destination.replace(name, (merged[number].encode() + b"\n" for number in sorted(merged)))
