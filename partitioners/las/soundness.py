"""What can be seen of compressed chunks without decoding them, and would bring lazrs down.

LAZ has no checksums: damage that decodes to other points is not noticed by anybody. What lazrs cannot stand is met
here: sizes of layers that do not add up (it allocates what they say), streams that no encoder begins so (it panics),
and long runs of 0xFF where GPS times are (it calls itself for each of their symbols, until its stack is full).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NoReturn

from cbtool.partitioners.las.header import wrong

LAYERED = 3
LAYERS = {10: 9, 11: 1, 12: 2, 13: 1}
"""How many layers the items of LASzip's point formats 6 to 10 have; extra bytes (14) have one each."""
GPS_LAYER = 8
NEVER_FIRST = b"\xff" * 4
"""The value of an arithmetic coder is less than its range, which begins as this."""
NEVER_INSIDE = b"\xff" * 256
MOST_GROUP_BYTES = 512 * 1024 * 1024
"""A larger group, which would have to be decoded at once, is refused."""


def check_size(count: int, record_bytes: int, where: str) -> None:
    """FormatError if a group of *count* points is larger than is decoded at once."""
    if count * record_bytes > MOST_GROUP_BYTES:
        hint = "compress it again in smaller chunks: las2las, or laszip -chunk_size 50000"
        wrong(where, f"a chunk of {count} points takes {count * record_bytes} bytes at once: more than 512 MiB", hint)


def check_chunks(
    data: bytes, laszip: bytes, counts: Sequence[int], lengths: Sequence[int], record_bytes: int, where: str
) -> None:
    """FormatError if the chunks that follow one another in *data* are not of *counts* points, as far as can be seen."""
    n_layers = n_layers_of(laszip)
    at = 0
    for count, length in zip(counts, lengths, strict=True):
        end = at + length
        check_size(count, record_bytes, where)
        if end > len(data) or length < record_bytes:
            _broken(where, "is cut short")
        if n_layers:
            _check_layers(data, at + record_bytes, end, count, n_layers, where)
        else:
            _check_stream(data, at + record_bytes, end, where, True)
        at = end


def layers_at(data: bytes, at: int, count: int, n_layers: int) -> list[int] | None:
    """Return the sizes of the layers of a chunk whose first point ends at *at*; None if it is not of *count* points."""
    if at + 4 + 4 * n_layers > len(data) or struct.unpack_from("<I", data, at)[0] != count:
        return None
    return list(struct.unpack_from(f"<{n_layers}I", data, at + 4))


def n_layers_of(laszip: bytes) -> int:
    """Return how many layers each chunk has, by the content of a laszip record; 0 if its points lie one by one."""
    if struct.unpack_from("<H", laszip)[0] != LAYERED:
        return 0
    n = struct.unpack_from("<H", laszip, 32)[0]
    items = [struct.unpack_from("<HH", laszip, 34 + 6 * i) for i in range(n)]
    return sum(LAYERS.get(kind, size) for kind, size in items)


def _check_layers(data: bytes, at: int, end: int, count: int, n_layers: int, where: str) -> None:
    sizes = layers_at(data, at, count, n_layers)
    at += 4 + 4 * n_layers
    if sizes is None or at + sum(sizes) > end:
        _broken(where, f"is not of {count} points")
    for number, size in enumerate(sizes):
        _check_stream(data, at, at + size, where, number == GPS_LAYER)
        at += size


def _check_stream(data: bytes, at: int, end: int, where: str, has_times: bool) -> None:
    if data[at : min(end, at + 4)] == NEVER_FIRST or (has_times and data.find(NEVER_INSIDE, at, end) >= 0):
        _broken(where, "holds bytes that no encoder writes")


def _broken(where: str, how: str) -> NoReturn:
    wrong(where, f"its points do not decode: a chunk {how}", "is it damaged? copy it again")
