"""Values of parameters come out as Typer's own converters make them, with pydantic or without."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
import typer
from typer.core import TyperCommand
from typer.testing import CliRunner

from cbtool.cli import Command


def shown(kind: type[TyperCommand], words: list[str], environment: dict[str, str]) -> Any:
    """Return what a command of one *kind* makes of *words*, or what it says of them."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)

    @app.command(cls=kind)
    def show(
        files: list[str],
        number: Annotated[int | None, typer.Option("-n", envvar="NUMBER")] = None,
        least: Annotated[int, typer.Option(min=1)] = 1,
        share: float = 0.5,
        name: Annotated[str | None, typer.Option(envvar="NAME")] = None,
        many: Annotated[list[str] | None, typer.Option()] = None,
        flag: Annotated[bool, typer.Option("--flag", envvar="FLAG")] = False,
    ) -> None:
        print(repr((files, number, least, share, name, many, flag)))

    done = CliRunner().invoke(app, words, env=environment)
    return done.exit_code, done.output


@pytest.mark.parametrize(
    ("words", "environment"),
    [
        (["a"], {}),
        ([], {}),
        (["a", "b", "-n", "007", "--name", "", "--many", "x", "--many", "7"], {}),
        (["a", "-n", "-3", "--share", "1e3", "--least", "2", "--flag"], {}),
        (["a", "-n", "3.0"], {}),
        (["a", "-n", "9" * 18], {}),
        (["a", "-n", "9" * 5000], {}),
        (["a", "-n", "3.5"], {}),
        (["a", "-n", "٣"], {}),
        (["a", "-n", "many"], {}),
        (["a", "-n", ""], {}),
        (["a", "-n", " 4 "], {}),
        (["a", "-n", "1_000"], {}),
        (["a", "--least", "0"], {}),
        (["a", "--share", "half"], {}),
        (["a"], {"NUMBER": "12", "NAME": "x y", "FLAG": "1"}),
        (["a"], {"NUMBER": "twelve"}),
        (["a"], {"FLAG": "no"}),
        (["a"], {"FLAG": "perhaps"}),
    ],
)
def test_values_are_those_of_typer(words: list[str], environment: dict[str, str]) -> None:
    assert shown(Command, words, environment) == shown(TyperCommand, words, environment)
