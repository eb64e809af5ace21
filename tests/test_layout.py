"""The three top folders are cbtool's own sub-packages, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINKED = ("partitioners", "stagers", "backends")


@pytest.mark.parametrize("name", LINKED)
def test_link_leads_to_its_folder(name: str) -> None:
    link = ROOT / "cbtool" / name
    assert link.is_dir() and link.resolve() == ROOT / name, (
        f"cbtool/{name} is not a link to ../{name}: this checkout was made without symbolic links. "
        "Set git config core.symlinks true, and check out again."
    )


def test_code_is_imported_by_one_name_only() -> None:
    code = (
        "import importlib, pkgutil, sys, cbtool\n"
        "names = [one.name for one in pkgutil.walk_packages(cbtool.__path__, 'cbtool.')]\n"
        "for name in names: name.endswith('__main__') or importlib.import_module(name)\n"
        f"print([name for name in {LINKED!r} if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"
    assert not set(LINKED) & set(sys.modules)


@pytest.mark.parametrize("name", LINKED)
def test_ruff_refuses_the_bare_name(name: str) -> None:
    pytest.importorskip("ruff")
    code = f"import {name}\nfrom {name} import x\nimport cbtool.{name}\n"
    found = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--select", "TID251", "--output-format", "concise", "-"],
        cwd=ROOT,
        input=code,
        capture_output=True,
        text=True,
    )
    assert found.stdout.count(f"import cbtool.{name}") == 2
