"""What a survey needs besides decoding: where the next block may begin, and windows made small."""

from __future__ import annotations

from cbtool.partitioners.gzip.blocks import FEWEST_LENGTHS, LARGE_BLOCK_LENGTHS, candidates
from cbtool.partitioners.gzip.inflate import Checkpoint
from cbtool.partitioners.gzip.survey import SEARCH_BYTES, Answer
from cbtool.partitioners.gzip.thin import thin
from cbtool.partitioners.gzip.windows import pack_window


class Search:
    """The `Aide` that does all at once, in this process. What it finds depends on what it was asked before."""

    def __init__(self) -> None:
        self._fewest_lengths = LARGE_BLOCK_LENGTHS

    def search(self, first: int, data: bytes) -> Answer:
        bit = self.possible(first, data)
        return lambda: bit

    def possible(self, first: int, data: bytes) -> int | None:
        stop = SEARCH_BYTES * 8
        bits = candidates(data, 0, stop, most=1, fewest_lengths=self._fewest_lengths)
        if not bits and self._fewest_lengths > FEWEST_LENGTHS:
            bits = candidates(data, 0, stop, most=1)
            self._fewest_lengths = FEWEST_LENGTHS if bits else LARGE_BLOCK_LENGTHS
        return first * 8 + bits[0] if bits else None

    def pack(self, start: Checkpoint, following: bytes) -> bytes:
        return pack_window(thin(start, following))
