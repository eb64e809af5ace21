"""``cbtool index``: pass over sources once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cbtool.commands import options as o

if TYPE_CHECKING:
    from cbtool.source import Source


def index(
    sources: o.Sources,
    form: o.As = None,
    index_to: o.IndexTo = None,
    unversioned: o.Unversioned = False,
    workers: o.Workers = None,
    backend: o.Engine = "local",
    engine_config: o.EngineConfig = None,
    scheduler: o.Scheduler = None,
    force: Annotated[bool, typer.Option("--force", help="Pass again although a fresh index is there.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be passed over.")] = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Pass over sources once, in parallel, and keep what was learnt beside them (NAME.cbi).

    Prints where each index lies. `cbtool partition` does this by itself where it must.

    \b
    Examples:
      cbtool index reads.fastq.gz
      cbtool index 's3://bucket/run7/*.gz' --index-to indexes/
    """
    from cbtool import sidecar
    from cbtool.contracts import EngineSettings
    from cbtool.detect import detect
    from cbtool.progress import counting
    from cbtool.session import indexer, opened
    from cbtool.tables import show_facts

    say, settings = o.note(quiet), EngineSettings(workers, engine_config, scheduler)
    todo: dict[str, list[Source]] = {}
    with opened(sources, unversioned=unversioned) as found, counting(quiet) as on_event:
        for source in found:
            name = detect(source, form)
            if force and not dry_run:
                sidecar.check_places(source, index_to)
                todo.setdefault(name, []).append(source)
                continue
            known, place = sidecar.find(source, index_to)
            if known and not force:
                say(f"{source.uri}: its index is fresh")
                show_facts({"uri": source.uri, "index": place}, as_json)
            elif dry_run:
                say(f"{source.uri}: would be indexed: its index is {'fresh' if known else place}")
            else:
                todo.setdefault(name, []).append(source)
        for name, missing in todo.items():
            passes = indexer(workers or o.cores(), on_event, backend, settings)
            for source, learnt in passes(missing, name):
                show_facts({"uri": source.uri, "index": sidecar.save(learnt, source, index_to)}, as_json)
