"""Globs, prefixes and lists, on disk and in buckets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbtool.errors import MissingInput, UsageError
from cbtool.expand import expand, matches
from tests.conftest import EVERY_S3, S3

S3_SERVERS = EVERY_S3

NAMES = ("a/x.gz", "a/x.gz.gzi", "a/y.txt", "a/.hidden", "a/b/z.gz", "a/.cbtool/run", "b/x.gz", "b/x.gz.cbi", "top.gz")

EXPECTED = {
    "a/*.gz": ["a/x.gz"],
    "a/*": ["a/x.gz", "a/y.txt"],
    "*/x.gz": ["a/x.gz", "b/x.gz"],
    "**/*.gz": ["a/b/z.gz", "a/x.gz", "b/x.gz", "top.gz"],
    "a/**": ["a/b/z.gz", "a/x.gz", "a/y.txt"],
    "a/[xy].*": ["a/x.gz", "a/y.txt"],
    "a/[!x].???": ["a/y.txt"],
    "a/*.gzi": ["a/x.gz.gzi"],
    "a/.h*": ["a/.hidden"],
    "a/": ["a/b/z.gz", "a/x.gz", "a/y.txt"],
    "a/x.gz.gzi": ["a/x.gz.gzi"],
    "a/nothing.gz": ["a/nothing.gz"],
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in NAMES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("pattern", "expected"), EXPECTED.items())
def test_on_disk(here: Path, pattern: str, expected: list[str]) -> None:
    assert expand([pattern]) == expected
    assert expand([f"{here}/{pattern}"]) == [f"{here}/{name}" for name in expected]


def test_in_buckets_the_same(s3: S3) -> None:
    for name in NAMES:
        s3.put(f"top/{name}", b"x")
    s3.put("top/a/", b"")
    s3.put("top/a/b/", b"")
    s3.put("top-not/x.gz", b"x")
    top = f"s3://{s3.bucket}/top/"
    for pattern, expected in EXPECTED.items():
        assert expand([top + pattern]) == [top + name for name in expected], pattern
    assert expand([f"s3://{s3.bucket}/top*/x.gz"]) == [f"s3://{s3.bucket}/top-not/x.gz"]
    assert len(expand([f"s3://{s3.bucket}"])) == len(expand([f"s3://{s3.bucket}/"])) == 6


def test_listing_goes_on_after_1000_keys(s3: S3) -> None:
    s3.fill(f"many/{i:04}.gz" for i in range(2101))
    assert expand([f"s3://{s3.bucket}/many/*.gz"]) == [f"s3://{s3.bucket}/many/{i:04}.gz" for i in range(2101)]


def test_the_order_is_as_given(here: Path) -> None:
    assert expand(["top.gz", "a/*", "https://host/f?x=[1]*"]) == [
        "top.gz",
        "a/x.gz",
        "a/y.txt",
        "https://host/f?x=[1]*",
    ]


def test_a_list_holds_a_uri_a_line(here: Path) -> None:
    (here / "lists").mkdir()
    (here / "lists/list.txt").write_text("# all of it\n\ntop.gz\r\n  s3://b/k#1  \na/*.gz\n")
    assert expand(["@lists/list.txt"]) == ["top.gz", "s3://b/k#1", "a/*.gz"]
    (here / "empty.txt").write_text("# nothing\n")
    with pytest.raises(MissingInput, match="@empty.txt: names no file"):
        expand(["@empty.txt"])
    with pytest.raises(MissingInput, match="no.txt: no such file"):
        expand(["@no.txt"])


def test_a_list_may_lie_in_a_bucket(s3: S3) -> None:
    assert expand(["@" + s3.put("list.txt", b"s3://b/k\n")]) == ["s3://b/k"]


@pytest.mark.parametrize("pattern", ["*.no", "no/", "a/.cbtool/*.x", "no/**"])
def test_what_names_nothing_is_66_and_named(here: Path, pattern: str) -> None:
    with pytest.raises(MissingInput) as caught:
        expand(["top.gz", pattern])
    assert str(caught.value) == f"{pattern}: names no file"
    assert caught.value.exit_code == 66


@pytest.mark.parametrize("pattern", ["*.no", "no/"])
def test_what_names_nothing_in_a_bucket_is_66(s3: S3, pattern: str) -> None:
    with pytest.raises(MissingInput, match="names no file"):
        expand([f"s3://{s3.bucket}/{pattern}"])
    with pytest.raises(MissingInput, match="no such bucket"):
        expand([f"s3://no-such-bucket/{pattern}"])


def test_a_file_named_twice_is_refused(here: Path) -> None:
    os.symlink("top.gz", "again.gz")
    for args in (["top.gz", "./top.gz"], ["*.gz"], ["top.gz", f"file://{here}/top.gz"], ["s3://b/k", "s3://b/k"]):
        with pytest.raises(UsageError, match="named twice") as caught:
            expand(args)
        assert caught.value.exit_code == 2


def test_names_with_stars_in_them_are_taken_as_they_are(here: Path, s3: S3) -> None:
    (here / "a[1].gz").write_bytes(b"")
    (here / "@at").write_bytes(b"")
    uri = s3.put("a[1].gz", b"x")
    assert expand(["a[1].gz", "@at", uri]) == ["a[1].gz", "@at", uri]


def test_other_folders_and_fifos_do_not_come_from_a_glob(here: Path) -> None:
    os.mkfifo("fifo.gz")
    os.mkdir("folder.gz")
    assert expand(["*.gz"]) == ["top.gz"]


@given(st.lists(st.text("ab.*?", min_size=1), min_size=1, max_size=4))
def test_two_stars_match_everything_that_is_not_hidden(names: list[str]) -> None:
    assert matches(names, ["**"]) == (not any(name.startswith(".") for name in names))
