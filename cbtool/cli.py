"""The command line: a table of commands, imported on use, and errors turned into exit statuses."""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from importlib import import_module
from io import UnsupportedOperation
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from cbtool.errors import CannotWrite, CbtoolError
from cbtool.output import not_full
from cbtool.parameters import plainly
from cbtool.registry import find
from cbtool.settings import defaults, fitting

COMMANDS = {
    "info": ("cbtool.commands.info:info", "Say what a source is: format, size, counts, state of the index."),
    "index": ("cbtool.commands.index:index", "Pass over sources once, in parallel, and keep what was learnt."),
    "partition": ("cbtool.commands.partition:partition", "Cut sources into chunks: make a plan."),
    "show": ("cbtool.commands.show:show", "Show a plan: balance, requests, bytes, cuts; or a run: who did what when."),
    "read": ("cbtool.commands.read:read", "Give one chunk as a valid file."),
    "write": ("cbtool.commands.write:write", "Write every chunk as a valid file."),
    "run": ("cbtool.commands.run:run", "Run a command on every chunk."),
    "convert": ("cbtool.commands.convert:convert", "Write sources in another format, in parallel."),
    "preprocess": ("cbtool.commands.preprocess:preprocess", "Make terrain models and the like: preprocess NAME."),
    "sort": ("cbtool.commands.sort:sort", "Sort lines or records by key, on any engine."),
    "status": ("cbtool.commands.status:status", "Say what a run has done, what runs, and what is left."),
    "verify": ("cbtool.commands.verify:verify", "Prove that the chunks together are the source."),
    "formats": ("cbtool.commands.formats:formats", "List the formats."),
    "backends": ("cbtool.commands.backends:backends", "List the engines, set one up, or check that it works."),
}

GROUPS = {"preprocess": "preprocessors"}
"""Commands whose first word names one of such a kind, which is a command of its own."""

COMMAND = "cbtool.command"
"""Where `run` finds the words after ``--``."""


class Command(TyperCommand):
    """One verb."""

    def get_params(self, ctx: Any) -> list[Any]:
        return plainly(super().get_params(ctx))


class Cli(TyperGroup):
    """Lists commands from a table and imports only the one that was asked for."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name, (_, summary) in COMMANDS.items():
            self.add_command(TyperCommand(name, help=summary))

    def get_params(self, ctx: Any) -> list[Any]:
        return plainly(super().get_params(ctx))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, stub, rest = super().resolve_command(ctx, args)
        if name is None:
            return name, stub, rest
        target = COMMANDS[name][0]
        if name in GROUPS and rest and not rest[0].startswith("-"):
            target = find(GROUPS[name], rest[0]).target
            name, rest = f"{name} {rest[0]}", rest[1:]
        module, _, function = target.partition(":")
        config, rest = take_config(rest)
        if name == "run" and "--" in rest:
            # What follows is the user's command, which no parser here should look at.
            end = rest.index("--")
            ctx.meta[COMMAND], rest = rest[end + 1 :], rest[:end]
        known = fitting(defaults(config or ctx.params["config"]), rest)
        settings = {"help_option_names": ["-h", "--help"], "default_map": known}
        one = typer.Typer(add_completion=False, rich_markup_mode=None)
        one.command(name, cls=Command, context_settings=settings)(getattr(import_module(module), function))
        return name, get_command(one), rest

    def invoke(self, ctx: Any) -> Any:
        try:
            with not_full("standard output"):
                value = super().invoke(ctx)
                sys.stdout.flush()
            return value
        except BrokenPipeError:
            let_go_of_stdout()
            raise typer.Exit(128 + signal.SIGPIPE) from None
        except CbtoolError as error:
            if isinstance(error, CannotWrite):
                let_go_of_stdout()
            report(error)
            raise typer.Exit(error.exit_code) from None


def let_go_of_stdout() -> None:
    """Send what is still to be written nowhere, so that it is not tried, and complained of, again at the end."""
    with suppress(UnsupportedOperation):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def take_config(args: list[str]) -> tuple[str | None, list[str]]:
    """Take ``--config FILE`` out of a command's arguments: it says what their defaults are.

    >>> take_config(["a", "--config", "f", "--", "--config"])
    ('f', ['a', '--', '--config'])
    """
    end = args.index("--") if "--" in args else len(args)
    for i, arg in enumerate(args[:end]):
        if arg == "--config" and i + 1 < end:
            return args[i + 1], args[:i] + args[i + 2 :]
        if arg.startswith("--config="):
            return arg.partition("=")[2], args[:i] + args[i + 1 :]
    return None, args


def report(error: CbtoolError) -> None:
    """Say *error* on stderr: one line and a hint, or one JSON object where CBTOOL_ERROR_FORMAT is ``json``."""
    if os.environ.get("CBTOOL_ERROR_FORMAT") == "json":
        fields = {"error": str(error), "status": error.exit_code, "hint": error.hint, "facts": error.facts}
        print(json.dumps(fields, default=str), file=sys.stderr)
        return
    print(f"cbtool: error: {error}", file=sys.stderr)
    if error.hint:
        print(f"cbtool: hint: {error.hint}", file=sys.stderr)


app = typer.Typer(cls=Cli, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"cbtool {version('cbtool')}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
    config: str = typer.Option("", metavar="FILE", envvar="CBTOOL_CONFIG", help="Read defaults from FILE."),
) -> None:
    """Cut big scientific files, where they lie, into chunks, and run jobs over the chunks in parallel."""


def main() -> None:
    """Run the command line; SIGTERM and SIGHUP leave as an exception does, so that nothing is left behind."""
    for stop in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(stop, lambda number, frame: sys.exit(128 + number))
    app(prog_name="cbtool")
