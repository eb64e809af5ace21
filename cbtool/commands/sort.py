"""``cbtool sort``: sort records, on this machine or any engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from cbtool.commands import job_options as j
from cbtool.commands import options as o
from cbtool.commands import running as r
from cbtool.errors import UsageError

if TYPE_CHECKING:
    from cbtool.contracts import Backend
    from cbtool.job import Report
    from cbtool.plan import Plan
    from cbtool.sorting.keys import Key
    from cbtool.sorting.shuffle import Route


def sort(
    sources: o.Sources,
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="F|DEST/", help="A file, or a folder or prefix for ordered parts.")
    ] = "-",
    parts: Annotated[
        int | None, typer.Option("-n", "--chunks", metavar="N", min=1, help="How many parts [one per 256 MB].")
    ] = None,
    size: Annotated[str | None, typer.Option("--size", metavar="SIZE", help="Parts of about SIZE bytes.")] = None,
    key: Annotated[
        str | None, typer.Option("-k", "--key", metavar="F[,G]", help="By the fields from F to G or the end, from 1.")
    ] = None,
    separator: Annotated[str, typer.Option("-t", metavar="CHAR", help="What lies between fields.")] = "\t",
    numeric: Annotated[bool, typer.Option("--numeric", help="By the number that the key begins with.")] = False,
    reverse: Annotated[bool, typer.Option("-r", "--reverse", help="The greatest first.")] = False,
    record_size: Annotated[
        int | None, typer.Option("--record-size", metavar="BYTES", help="Records of a fixed size, not lines.")
    ] = None,
    key_bytes: Annotated[
        str | None, typer.Option("--key-bytes", metavar="A:B", help="By these bytes of a record, from 0, half-open.")
    ] = None,
    memory: Annotated[
        str | None, typer.Option("--memory", metavar="SIZE", help="What each worker may take [512MB, if it has that].")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="STEM", help="What names of parts begin with.")] = None,
    index_to: o.IndexTo = None,
    unversioned: o.Unversioned = False,
    workers: o.Workers = None,
    backend: o.Engine = "local",
    engine_config: o.EngineConfig = None,
    scheduler: o.Scheduler = None,
    tasks_per_call: j.TasksPerCall = "auto",
    retries: j.Retries = None,
    timeout: j.Timeout = None,
    scratch: j.Scratch = None,
    force: j.Force = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: j.Verbose = False,
) -> None:
    """Sort lines, or records of a fixed size, of many sources together: bytewise (as LC_ALL=C sort -s), stable.

    Into a folder or prefix it writes parts, each sorted, which one after another are the whole. The same command
    again does what is left. What is on its way lies in the destination (for a file, beside it) and is removed.

    \b
    Examples:
      cbtool sort 'logs/*.txt' -o sorted.txt
      cbtool sort 'logs/*.txt' -k 2,2 -t ' ' -n 4 -o s3://bucket/sorted/
      cbtool sort records.bin --record-size 100 --key-bytes 0:10 -o sorted/
    """
    if parts is not None and size is not None:
        raise UsageError("--chunks and --size exclude each other")
    by = _key(key, separator, numeric, reverse, key_bytes, record_size)
    form = "text" if record_size is None else f"fixed:{record_size}"
    engine = j.engine_settings(workers, engine_config, scheduler, memory, timeout)
    settings = j.Settings(backend, engine, j.per_call(tasks_per_call, timeout), retries, scratch, force, quiet, verbose)
    ask = _Asked(sources, by, form, parts, size, name, index_to, unversioned)
    if _is_folder(output, parts):
        report = ask.into(output, settings)
        if as_json:
            r.say_report(report, output)
        report.check()
        return
    if as_json:
        raise UsageError("--json tells of the parts in a folder", hint="-o FOLDER/")
    ask.into_file(output, settings)


def _key(
    key: str | None, separator: str, numeric: bool, reverse: bool, key_bytes: str | None, record_size: int | None
) -> Key:
    """Return the key that the options describe; UsageError if they do not make one."""
    from cbtool.sorting.keys import Key

    if key is not None and (key_bytes is not None or record_size is not None):
        raise UsageError("-k is for fields of lines", hint="records of a fixed size: --key-bytes A:B")
    if len(separator.encode()) != 1 or separator == "\n":
        raise UsageError(f"-t {separator!r}: not one byte", hint="-t ,")
    fields = _pair(key, ",", "-k", "2 or 2,3") if key is not None else None
    if fields is not None and fields[0] < 1:
        raise UsageError(f"-k {key}: fields count from 1")
    span = _pair(key_bytes, ":", "--key-bytes", "0:10") if key_bytes is not None else None
    for first, last in filter(None, (fields, span)):
        if last is not None and (last < first or (last == first and span)):
            raise UsageError(f"from {first} to {last}: there is nothing between")
    if record_size is not None and span is not None and max(span[0] + 1, span[1] or 0) > record_size:
        raise UsageError(f"--key-bytes {key_bytes}: not within a record of {record_size} bytes")
    return Key(span, fields, separator, numeric, reverse)


def _pair(text: str, between: str, option: str, example: str) -> tuple[int, int | None]:
    first, mark, last = text.partition(between)
    if not first.isdecimal() or not (last.isdecimal() or (not last and bool(mark) == (between == ":"))):
        raise UsageError(f"{option} {text}: not understood", hint=f"{option} {example}")
    return int(first), int(last) if last else None


def _is_folder(output: str, parts: int | None) -> bool:
    """Say whether *output* is to hold parts: it ends with ``/``, is a folder, or there are to be several."""
    import os

    return output.endswith("/") or (parts or 1) > 1 and output != "-" or os.path.isdir(output)


@dataclass(frozen=True)
class _Asked:
    """What is to be sorted, and how."""

    sources: Sequence[str]
    key: Key
    form: str
    parts: int | None
    size: str | None
    name: str | None
    index_to: str | None
    unversioned: bool

    def into(self, place: str, settings: j.Settings) -> Report:
        """Sort into the folder or prefix *place*, and tell people about it."""
        from cbtool.session import engine

        route = self.route(settings)
        with engine(settings.backend, settings.engine) as backend:
            return self._work(route, place, backend, settings)

    def into_file(self, output: str, settings: j.Settings) -> None:
        """Sort into parts beside the file *output*, or for stdout into a scratch place, and join them."""
        from cbtool.destination import open_destination
        from cbtool.session import engine
        from cbtool.sorting.sort import join
        from cbtool.stagers.scratch import scratch_place_for

        route = self.route(settings)
        with ExitStack() as stack:
            backend = stack.enter_context(engine(settings.backend, settings.engine))
            place = f"{output}.cbtool-sort"
            if output == "-":
                place = stack.enter_context(scratch_place_for(settings.scratch, remote=backend.limits.remote))
            report = self._work(route, place, backend, settings)
            report.check()
            join(report, open_destination(place), output)

    def _work(self, route: Route, place: str, backend: Backend, settings: j.Settings) -> Report:
        from cbtool.destination import open_destination
        from cbtool.naming import safe, stem_and_suffix
        from cbtool.sorting.shuffle import memory_for
        from cbtool.sorting.sort import sort as work

        stem, suffix = stem_and_suffix(route.plan[0].sources[0].uri, ".txt" if self.form == "text" else ".bin")
        job = partial(
            work,
            route,
            memory_bytes=settings.engine.memory_bytes or memory_for(backend.limits),
            stem=safe(self.name or stem),
            suffix=suffix,
            force=settings.force,
        )
        return r.run_steps(open_destination(place), backend, settings, job)

    def route(self, settings: j.Settings) -> Route:
        """Cut the sources, for the work and for a sample."""
        from cbtool.asked import Options
        from cbtool.session import make_plan, opened
        from cbtool.sorting.shuffle import Route
        from cbtool.sorting.sort import CHUNK_BYTES, MOST_CHUNKS, PART_BYTES, SAMPLED, SAMPLED_BYTES
        from cbtool.units import parse_size

        with opened(self.sources, unversioned=self.unversioned) as found:
            total = sum(source.size for source in found)

        def plan(chunks: int, say: Callable[[str], None]) -> Plan:
            options = Options(chunks=max(1, chunks), workers=settings.engine.workers or o.cores())
            return make_plan(
                self.sources,
                options,
                form=self.form,
                index_to=self.index_to,
                unversioned=self.unversioned,
                say=say,
            )

        whole = plan(min(MOST_CHUNKS, -(-total // CHUNK_BYTES)), o.note(settings.quiet))
        n_bytes = sum(chunk.weight for chunk in whole)
        parts = self.parts or -(-n_bytes // (parse_size(self.size) if self.size else PART_BYTES))
        n_sampled = min(SAMPLED, total // SAMPLED_BYTES)
        sampled = plan(n_sampled, lambda note: None) if parts > 1 and n_sampled > len(whole) else None
        return Route(whole, self.key, parts, sampled=sampled)
