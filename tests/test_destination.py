"""A folder as a destination: exclusive names, whole outputs, nothing outside it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbtool.destination import Folder, open_destination, safe
from cbtool.errors import CannotWrite, FormatError, NotAllowed, UsageError
from cbtool.output import TEMPORARY
from tests.processes import at_the_same_time


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(str(tmp_path / "out"))


def test_is_made_when_something_is_written(folder: Folder) -> None:
    assert not os.path.exists(folder.uri)
    assert list(folder.names()) == []
    assert folder.read("a") is None
    assert folder.create("b/a", [b"on", b"e"])
    assert folder.read("b/a") == b"one"


def test_create_takes_a_free_name_only(folder: Folder) -> None:
    assert folder.create("a", [b"first"])
    assert not folder.create("a", [b"second"])
    assert folder.read("a") == b"first"


def test_of_many_that_race_one_wins(folder: Folder) -> None:
    start = threading.Barrier(16)
    won: list[int] = []

    def blocks(i: int) -> Iterator[bytes]:
        start.wait()
        yield b"%d" % i

    def one(i: int) -> None:
        if folder.create("a", blocks(i)):
            won.append(i)

    at_the_same_time(one)
    assert [folder.read("a")] == [b"%d" % i for i in won]
    assert list(folder.names()) == [("a", len(str(won[0])))]


def test_replace_replaces(folder: Folder) -> None:
    folder.replace("a", [b"first"])
    folder.replace("a", [b"second"])
    assert folder.read("a") == b"second"


@pytest.mark.parametrize("method", ["create", "replace"])
def test_leaves_nothing_when_the_blocks_fail(folder: Folder, method: str) -> None:
    def blocks() -> Iterator[bytes]:
        yield b"half"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        getattr(folder, method)("a", blocks())
    assert os.listdir(folder.uri) == []


def test_lists_sorted_by_name_without_unfinished_files(folder: Folder) -> None:
    for name in ("b", "a/b", "a.c", ".cbtool/key"):
        folder.create(name, [b"12"])
    Path(folder.uri, TEMPORARY + "1234").write_bytes(b"half")
    assert list(folder.names()) == [(".cbtool/key", 2), ("a.c", 2), ("a/b", 2), ("b", 2)]
    assert list(folder.names("a")) == [("a.c", 2), ("a/b", 2)]
    assert list(folder.names("a/")) == [("a/b", 2)]
    assert list(folder.names("no/such")) == []


def test_delete_forgives_what_is_not_there(folder: Folder) -> None:
    folder.create("a", [b""])
    for name in ("a", "a", "a/b"):
        folder.delete(name)
    assert list(folder.names()) == []


@pytest.mark.parametrize("name", ["", "/", "/a", "a/", "a//b", "..", "a/../b", ".", "a b", "a\n", "é", TEMPORARY + "x"])
def test_refuses_unsafe_names(folder: Folder, name: str) -> None:
    with pytest.raises(FormatError, match="not a name that an output may have") as caught:
        folder.create(name, [b""])
    assert "\n" not in str(caught.value)


@given(st.text())
def test_a_safe_name_stays_below(name: str) -> None:
    try:
        safe(name)
    except FormatError:
        return
    assert os.path.normpath(os.path.join("/top", name)).startswith("/top/")


@pytest.mark.parametrize("method", ["create", "replace", "read", "delete", "names"])
def test_does_not_leave_by_a_symbolic_link(folder: Folder, tmp_path: Path, method: str) -> None:
    (tmp_path / "outside").mkdir()
    folder.create("a", [b""])
    os.symlink(tmp_path / "outside", os.path.join(folder.uri, "sub"))
    arguments = ([b"x"],) if method in ("create", "replace") else ()
    with pytest.raises(CannotWrite, match="leads out of"):
        list(getattr(folder, method)("sub/deep/a", *arguments))
    assert os.listdir(tmp_path / "outside") == []


def test_may_itself_be_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert Folder(str(tmp_path / "link")).create("a/b", [b""])


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CannotWrite, match="not a folder"):
        open_destination(str(tmp_path / "file"))


@pytest.mark.parametrize("name", ["file/a", "file/a/b"])
def test_a_file_in_the_way_is_73(folder: Folder, name: str) -> None:
    folder.create("file", [b""])
    with pytest.raises(CannotWrite) as caught:
        folder.create(name, [b""])
    assert caught.value.exit_code == 73


def test_a_folder_that_cannot_be_listed_is_77(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(NotAllowed, match="cannot list: permission denied"):
        list(folder.names())


def test_open_destination_knows_its_schemes(tmp_path: Path) -> None:
    assert open_destination(f"file://{tmp_path}/").uri == str(tmp_path)
    assert open_destination(str(tmp_path)).locate("a/b") == f"{tmp_path}/a/b"
    with pytest.raises(UsageError, match="cannot write there"):
        open_destination("https://host/dir")


def test_an_error_among_the_blocks_is_not_taken_for_a_name_that_is_taken(tmp_path: Path) -> None:
    def blocks() -> Iterator[bytes]:
        yield b"some"
        raise FileExistsError("not about the output")

    with pytest.raises(FileExistsError, match="not about"):
        open_destination(str(tmp_path)).create("a", blocks())
    assert list(tmp_path.iterdir()) == []
