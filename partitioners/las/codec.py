"""Compressed groups of points: LAZ chunks and COPC nodes, each of which is decoded alone, by lazrs."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import lazrs
import numpy as np

from cbtool.errors import FormatError
from cbtool.partitioners.las.frame import Frame
from cbtool.partitioners.las.header import LASZIP, Header, wrong
from cbtool.partitioners.las.records import Records
from cbtool.partitioners.las.soundness import check_chunks

POINTWISE, LAYERED = 2, 3
"""Compressors whose chunks can be decoded alone (LASzip); 1 is one stream from beginning to end."""
VARIABLE = 0xFFFFFFFF
ITEM_SIZES = {6: 20, 7: 8, 8: 6, 9: 29, 10: 30, 11: 6, 12: 8, 13: 29}
"""Sizes of the items of fixed size that LASzip compresses a record by; 0 and 14 are extra bytes."""

EVERYTHING = lazrs.DecompressionSelection(lazrs.SELECTIVE_DECOMPRESS_ALL)
PLACES = lazrs.DecompressionSelection(
    lazrs.SELECTIVE_DECOMPRESS_XY_RETURNS_CHANNEL
    | lazrs.SELECTIVE_DECOMPRESS_Z
    | lazrs.SELECTIVE_DECOMPRESS_CLASSIFICATION
    | lazrs.SELECTIVE_DECOMPRESS_FLAGS
)
"""What a survey needs; point formats before LAS 1.4 are always decoded whole."""


@dataclass(frozen=True)
class Laszip:
    """What the laszip record of a file says."""

    compressor: int
    chunk_size: int
    data: bytes

    @property
    def is_variable(self) -> bool:
        return self.chunk_size == VARIABLE


def laszip_of(header: Header, where: str) -> Laszip:
    """Return how the points of a compressed file lie; FormatError if they are not of chunks that lazrs decodes."""
    vlr = header.find(LASZIP)
    if vlr is None or len(vlr.data) < 34:
        wrong(where, "is compressed, and does not say how: it has no laszip record")
    compressor, coder = struct.unpack_from("<HH", vlr.data)
    chunk_size, n_items = struct.unpack_from("<I", vlr.data, 12)[0], struct.unpack_from("<H", vlr.data, 32)[0]
    if compressor not in (POINTWISE, LAYERED) or coder:
        wrong(where, f"is compressed by LASzip's way {compressor}, which has no chunks", "compress it again: laszip -i")
    if not chunk_size and not header.is_copc:
        wrong(where, "is compressed in chunks of no points")
    if len(vlr.data) < 34 + 6 * n_items:
        wrong(where, "its laszip record is cut short")
    items = [struct.unpack_from("<HHH", vlr.data, 34 + 6 * i) for i in range(n_items)]
    if sum(size for _, size, _ in items) != header.record_bytes or any(
        ITEM_SIZES.get(kind, size) != size for kind, size, _ in items
    ):
        wrong(where, f"its laszip record is not of records of {header.record_bytes} bytes")
    if (compressor == LAYERED) != (header.point_format >= 6):
        wrong(where, f"point format {header.point_format} is not compressed by LASzip's way {compressor}")
    if header.is_copc:  # its hierarchy tells what the record should
        chunk_size = VARIABLE
    data = vlr.data[:12] + struct.pack("<I", chunk_size) + vlr.data[16 : 34 + 6 * n_items]
    return Laszip(compressor, chunk_size, data)


def decode(
    data: bytes | memoryview,
    laszip: bytes,
    counts: Sequence[int],
    lengths: Sequence[int],
    dtype: np.dtype[np.void],
    where: str,
    selection: lazrs.DecompressionSelection = EVERYTHING,
) -> Records:
    """Decode adjacent groups of *counts* points in *lengths* bytes of *data*, as records of *dtype*.

    What *selection* leaves out is as in the first point of each group. FormatError if they do not decode.
    """
    data = bytes(data)
    check_chunks(data, laszip, counts, lengths, dtype.itemsize, where)
    out = np.zeros(sum(counts) * dtype.itemsize, np.uint8)
    with decoding(where):
        table = list(zip(counts, lengths, strict=True))
        lazrs.decompress_points_with_chunk_table(data, laszip, out, table, selection)
    return out.view(dtype)


@contextmanager
def decoding(where: str) -> Iterator[None]:
    """Turn what lazrs makes of broken data into a FormatError; it panics by a BaseException of its own."""
    try:
        yield
    except (lazrs.LazrsError, RuntimeError) as error:
        raise FormatError(f"{where}: its points do not decode: {error}", hint="is it cut short or damaged?") from None
    except BaseException as error:
        if type(error).__module__ != "pyo3_runtime":
            raise
        raise FormatError(f"{where}: its points do not decode: {error}", hint="is it damaged?") from None


def new_laszip(point_format: int, n_extra: int, *, is_variable: bool = False) -> bytes:
    """Return the content of a laszip record for points to be compressed."""
    record: bytes = lazrs.LazVlr.new_for_compression(point_format, n_extra, is_variable).record_data()
    return bytes(record)


def encode(records: Records, frame: Frame) -> bytes:
    """Return up to `CHUNK_POINTS` *records* of *frame* as one chunk."""
    vlr = lazrs.LazVlr.new_for_compression(frame.point_format, frame.n_extra, False)
    flat = np.ascontiguousarray(records).view(np.uint8).reshape(-1)
    packed = bytes(lazrs.compress_points(vlr, flat, False))
    # Eight bytes say where the chunk table is, which is not wanted here.
    return packed[8 : int.from_bytes(packed[:8], "little", signed=True)]


def chunk_table(table: Sequence[tuple[int, int]], laszip: bytes) -> bytes:
    """Return the chunk table of chunks of (points, bytes)."""
    out = io.BytesIO()
    lazrs.write_chunk_table(out, list(table), lazrs.LazVlr(laszip))
    return out.getvalue()
