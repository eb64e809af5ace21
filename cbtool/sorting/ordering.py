"""The order of byte strings that lie in one buffer, and the records of a buffer put in an order: all by numpy.

A string is a place in the buffer: where it starts and how long it is. Eight bytes of it at a time are one unsigned
number, the first byte the highest, so that numbers compare as the bytes do.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Offsets = NDArray[np.int64]
Words = NDArray[np.uint64]
Order = NDArray[np.intp]

WORD = 8
PAD = bytes(WORD)
"""What a buffer must end with beyond its strings, so that every word of them can be read."""
PIECE_BYTES = 1024 * 1024
MOST_ROWS = 64 * 1024
SPARE = 4
"""Records are gathered as rows of the longest if the rows are at most so many times the records."""


def stable_order(buffer: bytes, start: Offsets, length: Offsets, *, descending: bool = False) -> Order:
    r"""Return the places of the strings in bytewise order; equal ones keep theirs, also if *descending*.

    >>> stable_order(b"b\0a\0ab" + PAD, np.array([0, 1, 2, 4]), np.array([1, 1, 1, 2])).tolist()
    [1, 2, 3, 0]
    """
    depth = _common(buffer, start, length)
    word = _flipped(_words(buffer, start, length, depth), descending)
    order = np.argsort(word, kind="stable")
    word = word[order]
    tied = word[1:] == word[:-1]
    depth += WORD
    while len(at := _inside(tied)):
        # Those that are alike so far are a group; its number and what follows make one number to sort by.
        group = np.cumsum(_begins(at, tied)) - 1
        spent = -(-int(group[-1]).bit_length() // 8)
        rows = order[at]
        left = length[rows]
        last = int(left.max()) <= depth
        if last:
            # All bytes were the same, with zeros for what is not there: the shorter string is the lesser.
            word = ((int(left.max()) - left) if descending else left).astype(np.uint64)
        else:
            word = _flipped(_words(buffer, start[rows], left, depth), descending) >> np.uint64(8 * spent)
        if spent:
            word |= group.astype(np.uint64) << np.uint64(8 * (WORD - spent))
        new = np.argsort(word, kind="stable")
        word, order[at] = word[new], rows[new]
        tied[:] = False
        if not last:
            tied[at[:-1][word[1:] == word[:-1]]] = True
        depth += WORD - spent
    return order


def _inside(tied: NDArray[np.bool_]) -> Order:
    """Return the places of those that are like a neighbour."""
    inside = np.zeros(len(tied) + 1, np.bool_)
    inside[1:] |= tied
    inside[:-1] |= tied
    return np.flatnonzero(inside)


def _begins(at: Order, tied: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Say which of the places *at* are not like the one before."""
    first = np.ones(len(at), np.bool_)
    first[1:] = ~tied[at[1:] - 1]
    return first


def _common(buffer: bytes, start: Offsets, length: Offsets) -> int:
    """Return how many bytes all strings have in common at their beginning."""
    least, depth = int(length.min()) if len(length) else 0, 0
    while depth < least:
        word = _words(buffer, start, length, depth)
        same = (64 - int(word.min() ^ word.max()).bit_length()) // 8
        depth = min(depth + same, least)
        if same < WORD:
            break
    return depth


def _words(buffer: bytes, start: Offsets, length: Offsets, depth: int) -> Words:
    """Return the eight bytes at *depth* of each string as a number; zeros stand for those beyond its end."""
    every = np.ndarray((len(buffer) - WORD + 1,), ">u8", buffer, 0, (1,))
    word = every[np.minimum(start + depth, len(every) - 1)].astype(np.uint64)
    left = length - depth
    if len(left) and int(left.min()) < WORD:
        spare = (8 * (WORD - np.clip(left, 1, WORD))).astype(np.uint64)
        word = (word >> spare) << spare
        word[left <= 0] = 0
    return word


def _flipped(word: Words, descending: bool) -> Words:
    return ~word if descending else word


def line_ends(buffer: bytes, size: int) -> Offsets:
    """Return the offset behind each newline in the first *size* bytes."""
    found = [
        np.flatnonzero(np.frombuffer(buffer, np.uint8, min(PIECE_BYTES, size - at), at) == ord("\n")) + (at + 1)
        for at in range(0, size, PIECE_BYTES)
    ]
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def gathered(buffer: bytes, start: Offsets, length: Offsets, order: Order) -> Iterator[bytes]:
    """Yield the records of *buffer* in *order*, joined, in pieces of about 1 MiB."""
    flat = np.frombuffer(buffer, np.uint8)
    mean = max(1, int(length.mean())) if len(length) else 1
    step = max(1, min(PIECE_BYTES // mean, MOST_ROWS))
    for at in range(0, len(order), step):
        rows = order[at : at + step]
        yield _piece(buffer, flat, start[rows], length[rows])


def _piece(buffer: bytes, flat: NDArray[np.uint8], start: Offsets, length: Offsets) -> bytes:
    width = int(length.max())
    if width * len(length) > SPARE * int(length.sum()) or width == 0:
        view = memoryview(buffer)
        return b"".join([view[a : a + n] for a, n in zip(start.tolist(), length.tolist(), strict=True)])
    # A row is as wide as the longest record: it may reach into what follows, but not beyond the buffer.
    beyond = np.maximum(start + width - len(flat), 0)
    rows = np.ndarray((len(flat) - width + 1,), f"V{width}", buffer, 0, (1,))[start - beyond]
    found = rows.view(np.uint8).reshape(len(start), width)
    if int(length.min()) == width:
        return found.tobytes()
    places = np.arange(width)
    if beyond.any():
        places = places - beyond[:, None]
    return found[(places >= 0) & (places < length[:, None])].tobytes()
