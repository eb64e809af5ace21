"""What is installed is what is committed, under one name, and works with the base dependencies alone."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
TOP = ("partitioners", "stagers", "backends")
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = ("laspy", "rasterio", "tifffile", "pyarrow", "lithops", "distributed", "awslambdaric", "matplotlib")
SLOW = ("numpy", "rich", "boto3", "obstore", "isal", "urllib3")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the wheel's content alone; Python finds it before what this environment has."""
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder)
    return folder


def python(code: str, installed: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    settings = os.environ | {"PYTHONPATH": str(installed)}
    return subprocess.run([sys.executable, "-c", code], cwd=folder, env=settings, capture_output=True, text=True)


def committed() -> set[str]:
    ended = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if ended.returncode:
        pytest.skip("not a git checkout")
    return {name for name in ended.stdout.splitlines() if not (ROOT / name).is_symlink() and (ROOT / name).exists()}


def test_wheel_holds_what_is_committed(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        held = {name for name in file.namelist() if ".dist-info/" not in name}
    code = {name if name.startswith("cbtool/") else f"cbtool/{name}" for name in committed() if _is_code(name)}
    assert held == code


def _is_code(name: str) -> bool:
    return name.partition("/")[0] in ("cbtool", *TOP)


def test_nothing_but_cbtool_is_at_the_top(installed: Path) -> None:
    assert sorted(path.name for path in installed.iterdir() if path.suffix != ".dist-info") == ["cbtool"]


def test_works_with_no_extra(installed: Path, tmp_path: Path) -> None:
    code = (
        "import sys, cbtool\n"
        "open('a.txt', 'w').write('a line\\n' * 1000)\n"
        "plan = cbtool.partition('a.txt', chunks=4)\n"
        "print(cbtool.__file__, cbtool.verify(plan), sum(len(c.open().read()) for c in plan))\n"
        f"print([name for name in {EXTRAS!r} if name in sys.modules])"
    )
    ended = python(code, installed, tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == f"{installed}/cbtool/__init__.py 1000 7000\n[]\n"


def test_help_imports_nothing_slow(installed: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from cbtool.cli import app\n"
        "try: app(['--help'], prog_name='cbtool')\n"
        f"finally: print([name for name in {SLOW + EXTRAS!r} if name in sys.modules], file=sys.stderr)"
    )
    ended = python(code, installed, tmp_path)
    assert ended.stderr == "[]\n"


def test_dependencies_are_those_that_are_imported() -> None:
    known = packages_distributions()
    modules = {module for name in committed() if _is_code(name) and name.endswith(".py") for module in _imports(name)}
    used = {
        known.get(module, [module])[0].lower().replace("_", "-")
        for module in modules - sys.stdlib_module_names - {"cbtool"}
    }
    used -= {"botocore", "dask", "pyyaml"}  # boto3's exceptions are botocore's; the others come with distributed
    assert used - _names(sum(PROJECT["project"]["optional-dependencies"].values(), [])) == _names(
        PROJECT["project"]["dependencies"]
    )


def _names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=\[; ]", one)[0].lower() for one in requirements}


def _imports(name: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse((ROOT / name).read_text())):
        if isinstance(node, ast.Import):
            found |= {one.name.partition(".")[0] for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def test_lock_names_every_dependency_and_no_place_to_get_it_from() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock and "@" not in lock
    locked = {re.split(r"==", line)[0].replace("_", "-") for line in lock.splitlines() if "==" in line}
    groups = PROJECT["dependency-groups"].values()
    optional = PROJECT["project"]["optional-dependencies"].items()
    extras = [one for name, many in optional if name != "all" for one in many]
    wanted = [*PROJECT["project"]["dependencies"], *extras, *(one for group in groups for one in group)]
    names = {re.split(r"[<>=\[; ]", one)[0].lower().replace("_", "-") for one in wanted}
    assert names - locked == set()
