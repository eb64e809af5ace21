"""Runs a command on one chunk: the chunk on its stdin or in a file, its stdout or a file as the output."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from cbtool.backends.pipe import Pipe, piped
from cbtool.chunk import Chunk
from cbtool.destination import Destination, open_destination
from cbtool.errors import TaskFailed, UsageError
from cbtool.ledger import proof
from cbtool.reading import chunk_of, one_stream
from cbtool.stagers.scratch import check_room, read_blocks, scratch_folder, write_file, write_parts

TOKENS = ("in", "in1", "in2", "out", "outdir", "name", "stem", "chunk", "core")
# Not after a dollar: ${name} is the shell's.
TOKEN = re.compile(r"(?<!\$)\{(" + "|".join(TOKENS) + r")\}")
FILES = ("in", "in1", "in2", "out", "outdir")
SHELL = ("bash", "-o", "pipefail", "-c")
KEPT_CHARACTERS = 4096
"""How much of the stderr of a command that did well goes into the ledger."""


def stage(task: Mapping[str, Any]) -> dict[str, Any]:
    """Run ``task["command"]`` on ``task["chunk"]``, and commit what it makes to ``task["destination"]``."""
    chunk = chunk_of(task)
    words, ok = list(task["command"]), frozenset(task.get("ok", (0,)))
    made = outputs(chunk, task)
    destination = open_destination(task["destination"])
    with ExitStack() as stack:
        scratch = ""
        if any(names(words, token) for token in FILES):
            scratch = stack.enter_context(scratch_folder(task.get("scratch")))
        values = _values(chunk, words, scratch, made)
        fed = any(names(words, token) for token in ("in", "in1", "in2"))
        is_output = not (names(words, "out") or names(words, "outdir"))
        with piped(
            argv(words, values),
            blocks=None if fed else one_stream(chunk),
            is_output=is_output,
            ok=ok,
            environment={**os.environ, **{f"CBTOOL_{token.upper()}": value for token, value in values.items()}},
        ) as pipe:
            created = _commit(destination, made, values, pipe, is_output)
            status = pipe.process.returncode
        return {"outputs": made, "created": created, "status": status, "stderr": pipe.stderr[-KEPT_CHARACTERS:]}


def outputs(chunk: Chunk, parameters: Mapping[str, Any]) -> list[str]:
    """Return the names of what the command makes of *chunk*; a folder's ends in ``/``."""
    words = parameters["command"]
    folder = [f"{chunk.stem}/"] if names(words, "outdir") else []
    file = [chunk.stem + parameters.get("ext", "")] if names(words, "out") or not folder else []
    return folder + file


def names(words: Sequence[str], token: str) -> bool:
    """Say whether the command *words* name *token*: ``{in}``, ``$CBTOOL_IN`` or ``${CBTOOL_IN}``.

    >>> names(["wc", "-l", "{in}"], "in"), names(["awk", "{print $1}"], "in")
    (True, False)
    """
    variable = re.compile(rf"\$\{{?CBTOOL_{token.upper()}\b")
    return any(token in TOKEN.findall(word) or variable.search(word) for word in words)


def argv(words: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """Return what to execute: several words as they are, one word under bash; tokens replaced, nothing else.

    >>> argv(["awk", "{print $1}", "{in}"], {"in": "/tmp/x"})
    ['awk', '{print $1}', '/tmp/x']
    >>> argv(["cat {in} | wc -l"], {"in": "/tmp/x"})
    ['bash', '-o', 'pipefail', '-c', 'cat /tmp/x | wc -l']
    """
    quoted = shlex.quote if len(words) == 1 else str
    filled = [TOKEN.sub(lambda found: quoted(values[found[1]]), word) for word in words]
    return [*SHELL, *filled] if len(words) == 1 else filled


def shell_lines(
    chunks: Iterable[Chunk], source: str, parameters: Mapping[str, Any], output: str | None
) -> Iterator[str]:
    """Yield for each chunk what a shell would run to make its output from the plan *source*."""
    words = parameters["command"]
    for chunk in chunks:
        values = {"name": chunk.name, "stem": chunk.stem, "chunk": str(chunk.chunk), "core": describe_core(chunk.core)}
        values |= {"in": chunk.name, **{f"in{i}": part.name for i, part in enumerate(chunk.parts, 1)}}
        for made in outputs(chunk, parameters):
            values["outdir" if made.endswith("/") else "out"] = os.path.join(output or "", made)
        read = f"cbtool read {shlex.quote(source)} -k {chunk.chunk}"
        options = {"in": "", "in1": " --part 1", "in2": " --part 2"}
        files = [f"{read}{options[token]} -o {values[token]} && " for token in options if names(words, token)]
        line = argv(words, values)[-1] if len(words) == 1 else shlex.join(argv(words, values))
        grouped = f"{{ {line}; }}" if len(words) == 1 else line
        is_output = output is not None and not (names(words, "out") or names(words, "outdir"))
        yield ("".join(files) or f"{read} | ") + grouped + (f" > {shlex.quote(values['out'])}" if is_output else "")


def describe_core(core: Mapping[str, Any] | None) -> str:
    """Return what a chunk owns as one word: ``records:0-100``, ``chr1:5-10,chr2:0-7``.

    >>> describe_core({"records": [0, 100]})
    'records:0-100'
    >>> describe_core({"intervals": [["chr1", 5, 10]]})
    'chr1:5-10'
    """
    for kind, value in (core or {}).items():
        if kind in ("records", "bytes"):
            return f"{kind}:{value[0]}-{value[1]}"
        if kind == "intervals":
            return ",".join(f"{name}:{start}-{end}" for name, start, end in value)
        return f"{kind}:{json.dumps(value, separators=(',', ':'))}"
    return "all"


def _values(chunk: Chunk, words: Sequence[str], scratch: str, made: Sequence[str]) -> dict[str, str]:
    """Return what each token stands for, with the files that the command reads written."""
    values = {
        "name": chunk.name,
        "stem": chunk.stem,
        "chunk": str(chunk.chunk),
        "core": describe_core(chunk.core),
    }
    if any(names(words, token) for token in ("in", "in1", "in2")):
        check_room(scratch, chunk)
    if names(words, "in"):
        values["in"] = os.path.join(scratch, chunk.name)
        write_file(values["in"], one_stream(chunk))
    if names(words, "in1") or names(words, "in2"):
        files = write_parts(chunk, os.path.join(scratch, "parts"))
        if names(words, "in2") and len(files) < 2:
            raise UsageError(f"{chunk.name}: the chunk has one file, and the command names {{in2}}", hint="name {in}")
        values.update({f"in{i}": path for i, path in enumerate(files[:2], 1)})
    if names(words, "outdir"):
        values["outdir"] = os.path.join(scratch, "outdir", chunk.stem)
        os.makedirs(values["outdir"])
    if names(words, "out"):
        values["out"] = os.path.join(scratch, "out", made[-1])
        os.makedirs(os.path.dirname(values["out"]))
    return values


def _commit(
    destination: Destination, made: Sequence[str], values: Mapping[str, str], pipe: Pipe, is_output: bool
) -> bool:
    """Let the command run to its end, and give what it made its names; say whether they were free."""
    if is_output:
        return destination.create(made[0], pipe.blocks())
    pipe.run()
    created = []
    if "outdir" in values:
        created.append(_commit_folder(destination, made[0], values["outdir"]))
    if "out" in values:
        created.append(destination.create(made[-1], _file(values["out"])))
    return all(created)


def _commit_folder(destination: Destination, name: str, folder: str) -> bool:
    """Write the files of *folder* below *name*, and its proof last: until then it counts as not there."""
    for parent, _, files in sorted(os.walk(folder)):
        for file in sorted(files):
            path = os.path.join(parent, file)
            destination.replace(name + os.path.relpath(path, folder), read_blocks(path))
    return destination.create(proof(name), [])


def _file(path: str) -> Iterator[bytes]:
    if not os.path.isfile(path):
        raise TaskFailed(f"the command wrote no {os.path.basename(path)}", hint="it must write the file {out}")
    return read_blocks(path)
