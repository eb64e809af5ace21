"""``-n auto`` with ``--budget`` or ``--deadline``: the options, and the plan that they lead to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cbtool.commands import options as o
from cbtool.errors import MissingInput, UsageError

if TYPE_CHECKING:
    from cbtool.choice.choosing import Wish
    from cbtool.choice.prices import Prices
    from cbtool.commands.job_options import Settings
    from cbtool.job import Engine, Work
    from cbtool.plan import Plan

Budget = Annotated[
    float | None,
    typer.Option("--budget", metavar="USD", min=0, help="With -n auto: the number that is fastest for this money."),
]
Deadline = Annotated[
    float | None,
    typer.Option(
        "--deadline", metavar="SECONDS", min=0, help="With -n auto: the number that is cheapest in this time."
    ),
]
Explain = Annotated[bool, typer.Option("--explain", help="Say how the number was found: the model and its numbers.")]
Like = Annotated[
    str | None,
    typer.Option("--like", metavar="DEST", help="Take what tasks take from a run there, and try none before."),
]


@dataclass
class Chooser:
    """Picks the plan whose number of chunks meets a wish best. A run that has begun in *output* keeps its number."""

    wish: Wish
    prices: Prices
    like: str | None
    explain: bool
    work: Callable[[list[str]], Work]
    output: str | None
    settings: Settings
    dry_run: bool
    predicted: Mapping[str, Any] | None = None
    """What is foretold of the plan that was picked."""

    def __call__(self, cut: Callable[[int], Plan], urls: list[str]) -> Plan:
        say = o.note(self.settings.quiet)
        if self.output is not None and not self.settings.force and (begun := _begun(self.output)):
            say(f"{self.output}: a run of {begun} chunks has begun there, and goes on")
            return cut(begun)
        from cbtool.choice.chosen import Asked, choose_plan
        from cbtool.choice.explaining import explain

        if self.like is None:
            say("doing some small chunks first, to choose the number of chunks")
        with self._engine() as (how, place):
            asked = Asked(self.wish, self.prices, self.like, o.cores())
            chosen = choose_plan(cut, self.work(urls), how, place, asked)
        if self.explain:
            for line in explain(chosen):
                typer.echo(line, err=not self.dry_run)
        self.predicted = chosen.fields()
        return chosen.plan

    @contextmanager
    def _engine(self) -> Iterator[tuple[Engine, str]]:
        """Open the engine, and a place for what is made of chunks that are only tried."""
        from cbtool.job import Engine
        from cbtool.session import engine
        from cbtool.source import is_local
        from cbtool.stagers.scratch import scratch_place_for

        settings = self.settings
        with engine(settings.backend, settings.engine) as backend:
            remote = backend.limits.remote
            # Storage has a speed of its own: chunks are tried where they will be written, if that is not a folder.
            away = self.output is not None and not is_local(self.output) and (remote or not self.dry_run)
            with scratch_place_for(self.output if away else settings.scratch, remote=away or remote) as place:
                scratch = None if remote else settings.scratch
                limits = (settings.retries, settings.engine.timeout_s)
                yield Engine(backend, *limits, scratch, tasks_per_call=settings.tasks_per_call), place


def chooser(
    chunks: str | None,
    others: tuple[object, ...],
    budget: float | None,
    deadline: float | None,
    explain: bool,
    prices: str | None,
    like: str | None,
    work: Callable[[list[str]], Work],
    output: str | None,
    settings: Settings,
    dry_run: bool,
) -> Chooser | None:
    """Return what picks the plan, or None if nothing was asked; *others* are the other ways to say how to cut."""
    if budget is None and deadline is None:
        if explain or like is not None:
            name = "--explain" if explain else "--like"
            raise UsageError(f"{name} is for a number that is chosen", hint="-n auto with --budget or --deadline")
        return None
    if chunks not in (None, "auto") or any(one is not None for one in others):
        raise UsageError("--budget and --deadline choose the number of chunks", hint="-n auto, and nothing else")
    from cbtool.choice.choosing import Wish
    from cbtool.choice.prices import load

    return Chooser(Wish(budget, deadline), load(prices), like, explain, work, output, settings, dry_run)


def _begun(output: str) -> int | None:
    """Return how many chunks the run in *output* has, if one has begun there."""
    from cbtool.session import load_plan

    try:
        plan = load_plan(output.rstrip("/") + "/", some=True)
    except MissingInput:
        return None
    return plan[0].of or len(plan)
