"""The points of a file as `verify` counts them, read by laspy: another way than that by which chunks are made."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import laspy
import numpy as np

from cbtool.chunk import Chunk
from cbtool.errors import FormatError
from cbtool.partitioners.las.build import region_of
from cbtool.partitioners.las.codec import decoding
from cbtool.partitioners.las.frame import into, place_of, spatial
from cbtool.partitioners.las.groups import LasFile, open_las
from cbtool.partitioners.las.header import EXTRA_BYTES
from cbtool.partitioners.las.recipe import recipe_of
from cbtool.partitioners.las.records import Records, dtype_of
from cbtool.partitioners.las.writing import OVERLAP

AT_ONCE = 500_000


def canonical(file: BinaryIO, chunk: Chunk) -> Iterator[list[bytes]]:
    """Yield the points of a LAS, LAZ or COPC *file* in lists: the bytes of each in the frame of *chunk*'s cloud.

    Of a chunk's own file the overlap is left out, and so is the byte that says what it is; of a source, what lies
    outside the region that was asked for.
    """
    from cbtool.given import GivenFile

    recipe = recipe_of(chunk)
    las = open_las(GivenFile(file))
    dtype = dtype_of(las.header.point_format, las.header.record_bytes)
    place = place_of(las.header, recipe.frame, las.where)
    has_mark = recipe.reach is not None and _has_overlap(las)
    region = None if recipe.only is None else region_of(recipe.only, recipe.frame)
    file.seek(0)
    counted = 0
    with decoding(las.where), _told(las.where), laspy.open(file, closefd=False) as reader:
        for part in reader.chunk_iterator(AT_ONCE):
            records = part.array.view(dtype)
            counted += len(records)
            if has_mark:
                records = _without_mark(records, las)
            if region is not None:
                x, y = spatial(records, place)
                records = records[region.contains(x, y)]
            data = into(records, place, recipe.frame).tobytes()
            n = recipe.frame.record_bytes
            yield [data[at : at + n] for at in range(0, len(data), n)]
    if counted != las.header.n_points:
        raise FormatError(f"{las.where}: its header says {las.header.n_points} points, and {counted} are there")


@contextmanager
def _told(where: str) -> Iterator[None]:
    """Turn what laspy makes of a file that it cannot read into a FormatError."""
    try:
        yield
    except (laspy.errors.LaspyException, ValueError, struct.error, OverflowError) as error:
        raise FormatError(f"{where}: laspy cannot read it: {error}") from None


def _has_overlap(file: LasFile) -> bool:
    return any(OVERLAP.encode() in vlr.data for vlr in file.header.vlrs if vlr.key == EXTRA_BYTES)


def _without_mark(records: Records, file: LasFile) -> Records:
    """Return the points that are not marked as overlap, without the mark: their last byte."""
    flat = np.ascontiguousarray(records).view(np.uint8).reshape(-1, records.dtype.itemsize)
    own = flat[flat[:, -1] == 0][:, :-1]
    dtype = dtype_of(file.header.point_format, file.header.record_bytes - 1)
    return np.ascontiguousarray(own).reshape(-1).view(dtype)
