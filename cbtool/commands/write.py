"""``cbtool write``: every chunk as a valid file."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from cbtool.commands import choosing as c
from cbtool.commands import job_options as j
from cbtool.commands import options as o
from cbtool.commands import running as r
from cbtool.errors import UsageError


def write(
    sources: j.Sources,
    output: j.Output = None,
    chunks: o.Chunks = None,
    size: o.Size = None,
    records: o.Records = None,
    by: o.By = None,
    overlap: o.Overlap = None,
    shape: o.Shape = None,
    only: o.Only = None,
    on_the_fly: o.OnTheFly = False,
    paired: o.Paired = False,
    name: o.Name = None,
    form: o.As = None,
    index_to: o.IndexTo = None,
    unversioned: o.Unversioned = False,
    source: o.Resupplied = None,
    workers: o.Workers = None,
    backend: o.Engine = "local",
    engine_config: o.EngineConfig = None,
    scheduler: o.Scheduler = None,
    tasks_per_call: j.TasksPerCall = "auto",
    memory: j.Memory = None,
    budget: c.Budget = None,
    deadline: c.Deadline = None,
    explain: c.Explain = False,
    like: c.Like = None,
    retries: j.Retries = None,
    timeout: j.Timeout = None,
    scratch: j.Scratch = None,
    report: j.ReportTo = None,
    prices: o.PriceTable = None,
    dry_run: j.DryRun = False,
    force: j.Force = False,
    some: o.Some = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: j.Verbose = False,
) -> None:
    """Write every chunk as a valid file into a folder or prefix. The same command again writes what is missing.

    \b
    Examples:
      cbtool write reads.plan -o parts/
      cbtool write reads.fastq.gz -n 16 -o s3://bucket/parts/
      cbtool partition 'logs/*.txt' --size 64MB | cbtool write - -o parts/
    """
    from cbtool.job import Work
    from cbtool.scattering import scattering_of, write_scattered

    if output is None:
        raise UsageError("where to? -o DEST", hint="one chunk goes to stdout with cbtool read")
    how = (by, overlap, shape, only)
    asked = o.options(chunks, size, records, *how, on_the_fly, paired, name, workers or o.cores())
    engine = j.engine_settings(workers, engine_config, scheduler, memory, timeout)
    calls = j.per_call(tasks_per_call, timeout)
    settings = j.Settings(backend, engine, calls, retries, scratch, force, quiet, verbose, report, prices)

    def doing(urls: list[str]) -> Work:
        return Work("write", unkeyed={"urls": urls})

    goal = (chunks, (size, records), budget, deadline, explain, prices, like)
    choose = c.chooser(*goal, doing, output, settings, dry_run)
    plan, urls = r.load(sources, asked, form, index_to, unversioned, some, quiet, dry_run, source, choose)
    if choose is not None:
        asked, settings = replace(asked, chunks=len(plan)), replace(settings, predicted=choose.predicted)
    if dry_run:
        from cbtool.stagers.write import shell_lines

        r.print_lines(sources, asked, form, lambda name: shell_lines(plan, name, output))
        return
    way = scattering_of(plan)
    if way is None:
        made = r.execute(plan, doing(urls), output, settings)
    else:
        once = partial(write_scattered, plan, way, doing(urls), force=force)
        made = r.execute_steps(output, settings, once)
    if as_json:
        r.say_report(made, output)
    made.check()
