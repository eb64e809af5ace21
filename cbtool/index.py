"""What a pass over a source learnt: small arrays and bytes, kept in one file that is bound to the source's version.

The file (``NAME.cbi``): the 8 bytes ``cbtool\\x01\\n``, the length of the header (8 bytes, little endian), the header
(JSON: format, version and size of the source, facts, and a table of the members), then the members one after
another, each compressed by zlib, and last the CRC-32 (4 bytes, little endian) of all that goes before.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cbtool.errors import FormatError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAGIC = b"cbtool\x01\n"
DTYPES = ("int64", "uint32", "uint8")
HEADER_LIMIT_BYTES = 16 * 1024 * 1024
MEMBER_LIMIT_BYTES = 8 * 1024 * 1024 * 1024
DEFLATE_MOST = 1032
"""No deflate stream holds more than this many bytes for each of its own (zlib's technical notes)."""


@dataclass(frozen=True)
class Index:
    """What `Partitioner.index` learnt of one source. *facts* are JSON; *arrays* are 1-D, of `DTYPES`."""

    format: str
    version: str
    size: int
    facts: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def dump(index: Index) -> bytes:
    """Return *index* as the bytes of its file; the same index gives the same bytes.

    >>> import numpy as np
    >>> one = Index("text", "etag:x", 5, {"lines": 2}, {"at": np.array([0, 3])})
    >>> load(dump(one)).arrays["at"].tolist()
    [0, 3]
    """
    members, table = [], []
    for name, array in index.arrays.items():
        if array.dtype.name not in DTYPES or array.ndim != 1:
            raise TypeError(f"{name}: an index holds 1-D arrays of {DTYPES}, not {array.ndim}-D {array.dtype}")
        packed = zlib.compress(_deltas(array).astype(array.dtype.newbyteorder("<")).tobytes(), 6)
        table.append([name, array.dtype.name, len(array), len(packed)])
        members.append(packed)
    header = json.dumps(
        {
            "format": index.format,
            "version": index.version,
            "size": index.size,
            "facts": index.facts,
            "members": table,
        },
        separators=(",", ":"),
    ).encode()
    body = b"".join([MAGIC, struct.pack("<Q", len(header)), header, *members])
    return body + struct.pack("<I", zlib.crc32(body))


def _deltas(array: NDArray[Any]) -> NDArray[Any]:
    """Return the differences of an int64 array (offsets grow, their differences are small); other types as they are."""
    import numpy as np

    return np.diff(array, prepend=np.int64(0)) if array.dtype == np.int64 else array


def load(data: bytes, where: str = "index") -> Index:
    """Read the bytes of an index file; FormatError if they are not one, whole and unharmed."""

    def wrong(why: str) -> FormatError:
        ours = data.startswith(MAGIC[:6])
        hint = "make it again: cbtool index --force" if ours else "name another place for indexes: --index-to DIR"
        return FormatError(f"{where}: not an index of this cbtool: {why}", hint=hint, ours=ours)

    if data[:8] != MAGIC:
        raise wrong("it begins with other bytes")
    if len(data) < 20 or struct.unpack("<I", data[-4:])[0] != zlib.crc32(memoryview(data)[:-4]):
        raise wrong("its checksum differs")
    length = struct.unpack_from("<Q", data, 8)[0]
    if length > min(HEADER_LIMIT_BYTES, len(data) - 20):
        raise wrong("its header is too long")
    try:
        header = json.loads(data[16 : 16 + length])
        arrays = {}
        at = 16 + length
        for name, dtype, count, packed in header["members"]:
            arrays[str(name)] = _array(data[at : at + packed], str(dtype), int(count))
            at += packed
        index = Index(str(header["format"]), str(header["version"]), int(header["size"]), dict(header["facts"]), arrays)
    except (ValueError, KeyError, TypeError, zlib.error, RecursionError) as error:
        raise wrong(f"{error}") from None
    if at != len(data) - 4:
        raise wrong("its members do not fill it")
    return index


def _array(packed: bytes, dtype: str, count: int) -> NDArray[Any]:
    import numpy as np

    if dtype not in DTYPES:
        raise ValueError(f"members of type {dtype}")
    n_bytes = count * np.dtype(dtype).itemsize
    if not 0 <= n_bytes <= min(MEMBER_LIMIT_BYTES, len(packed) * DEFLATE_MOST):
        raise ValueError(f"a member of {count} values")
    plain = zlib.decompressobj().decompress(packed, n_bytes + 1) if n_bytes else b""
    if len(plain) != n_bytes:
        raise ValueError("a member of another length than it says")
    array = np.frombuffer(plain, np.dtype(dtype).newbyteorder("<")).astype(dtype)
    return np.cumsum(array) if dtype == "int64" else array
