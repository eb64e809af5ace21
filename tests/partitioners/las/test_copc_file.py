"""The hierarchy of a COPC file: every node is found again through its pages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbtool.partitioners.las import copc_file
from cbtool.partitioners.las.copc import ENTRY, PAGE

AT = 12345
Key = tuple[int, ...]


def entries(keys: Sequence[Key]) -> np.ndarray:
    made = np.zeros(len(keys), ENTRY)
    made["key"] = np.array(keys, np.int32).reshape(-1, 4)
    made["offset"] = 1000 * (1 + np.arange(len(keys)))
    made["length"], made["count"] = 10, 7
    return made


def walked(data: bytes, root: int) -> tuple[dict[Key, tuple[int, ...]], list[int]]:
    """Return the entries that a reader finds who goes from page to page, and the sizes of the pages."""
    found: dict[Key, tuple[int, ...]] = {}
    sizes: list[int] = []
    todo: list[tuple[int, int, Key | None]] = [(AT, root, None)]
    while todo:
        at, length, key = todo.pop()
        page = np.frombuffer(data, ENTRY, length // 32, at - AT)
        assert key is None or page["key"][0].tolist() == list(key)
        sizes.append(len(page))
        for one in page:
            name = tuple(one["key"].tolist())
            assert name not in found
            if one["count"] == PAGE:
                todo.append((int(one["offset"]), int(one["length"]), name))
            else:
                found[name] = (int(one["offset"]), int(one["length"]), int(one["count"]))
    assert sum(sizes) * 32 == len(data)
    return found, sizes


def full(depth: int) -> list[Key]:
    return [(d, x, y, z) for d in range(depth) for x in range(2**d) for y in range(2**d) for z in range(2**d)]


def check(keys: Sequence[Key], data: bytes, root: int) -> list[int]:
    found, sizes = walked(data, root)
    assert {key: one for key, one in found.items() if one[2]} == {
        key: (1000 * (1 + i), 10, 7) for i, key in enumerate(keys)
    }
    for depth, x, y, z in found:
        assert not depth or (depth - 1, x >> 1, y >> 1, z >> 1) in found
    return sizes


def test_a_small_hierarchy_is_one_page() -> None:
    keys = full(4)
    assert check(keys, *copc_file.hierarchy(entries(keys), AT)) == [len(keys)]


def test_a_large_hierarchy_has_pages_that_are_not_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copc_file, "PAGE_ENTRIES", 100)
    keys = [*full(4), (9, 511, 3, 0), (12, 4095, 0, 0)]
    sizes = check(keys, *copc_file.hierarchy(entries(keys), AT))
    assert max(sizes) <= 100 and min(sizes[1:]) > copc_file.INLINE_ENTRIES


@given(st.sets(st.tuples(st.integers(0, 21), *[st.integers(0, 2**21 - 1)] * 3), min_size=1, max_size=60))
def test_any_nodes_are_found_again(places: set[tuple[int, int, int, int]]) -> None:
    copc_file.PAGE_ENTRIES, copc_file.INLINE_ENTRIES = 20, 4
    try:
        keys = sorted({(d, x >> 21 - d, y >> 21 - d, z >> 21 - d) for d, x, y, z in places})
        check(keys, *copc_file.hierarchy(entries(keys), AT))
    finally:
        copc_file.PAGE_ENTRIES, copc_file.INLINE_ENTRIES = 4096, 32
