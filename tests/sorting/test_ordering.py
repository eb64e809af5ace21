"""The order of byte strings by words of eight, held against Python's own sort."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbtool.sorting.ordering import PAD, PIECE_BYTES, Offsets, gathered, line_ends, stable_order

STRINGS = st.one_of(
    st.lists(st.binary(max_size=40), max_size=40),
    # Few letters, zeros among them: equal strings, prefixes, and padding that must not be taken for content.
    st.lists(st.lists(st.sampled_from(b"\0a\xff"), max_size=20).map(bytes), max_size=40),
    st.binary(max_size=30).flatmap(lambda prefix: st.lists(st.binary(max_size=12).map(prefix.__add__), max_size=40)),
)


def laid(strings: list[bytes]) -> tuple[bytes, Offsets, Offsets]:
    """Return *strings* in one buffer, where each starts, and how long it is."""
    length = np.array([len(one) for one in strings], np.int64)
    return b"".join(strings) + PAD, np.cumsum(length) - length, length


@settings(deadline=None)
@given(STRINGS, st.booleans())
def test_the_order_is_pythons(strings: list[bytes], descending: bool) -> None:
    found = stable_order(*laid(strings), descending=descending).tolist()
    assert found == sorted(range(len(strings)), key=lambda i: strings[i], reverse=descending)


@settings(deadline=None)
@given(STRINGS, st.randoms(use_true_random=False))
def test_gathering_joins_the_records_in_their_order(strings: list[bytes], random: object) -> None:
    buffer, start, length = laid(strings)
    order = list(range(len(strings)))
    random.shuffle(order)  # type: ignore[attr-defined]
    found = b"".join(gathered(buffer, start, length, np.array(order, np.intp)))
    assert found == b"".join(strings[i] for i in order)


@pytest.mark.parametrize("lengths", [[100] * 30_000, [0, 1, 2, 90] * 20_000, [3] * 1000 + [200_000] + [0] * 1000])
def test_records_of_one_many_and_very_unlike_lengths(lengths: list[int]) -> None:
    source = np.random.default_rng(1)
    strings = [source.bytes(n) for n in lengths]
    order = source.permutation(len(strings))
    pieces = list(gathered(*laid(strings), order))
    assert b"".join(pieces) == b"".join(strings[i] for i in order.tolist())
    assert max(map(len, pieces)) < 2 * PIECE_BYTES


def test_many_equal_long_strings_keep_their_places() -> None:
    strings = [b"x" * 300, b"x" * 301] * 500
    found = stable_order(*laid(strings)).tolist()
    assert found == [*range(0, 1000, 2), *range(1, 1000, 2)]


def test_lines_end_behind_their_newlines_and_the_pad_is_none() -> None:
    data = b"a\n\nb\n" * PIECE_BYTES
    ends = line_ends(data + b"\n", len(data))
    assert ends[:4].tolist() == [2, 3, 5, 7] and len(ends) == 3 * PIECE_BYTES and ends[-1] == len(data)
