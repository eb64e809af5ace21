"""What a plan's line says of a cloud's chunk besides ranges: how its bytes become points, and which of them it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cbtool.chunk import Chunk
from cbtool.errors import FormatError
from cbtool.partitioners.las.frame import Frame, Place
from cbtool.partitioners.las.groups import Ints
from cbtool.partitioners.las.header import RECORD_BYTES

Box = tuple[int, int, int, int]
"""(x0, y0, x1, y1) in the frame's integers, half-open."""
MOST_GROUP_POINTS = 100_000_000
MOST_RECORD_BYTES = 0xFFFF
LEAST_LASZIP_BYTES = 34


@dataclass(frozen=True)
class Piece:
    """What a chunk takes of one source: groups in the order of their bytes, and which of them it has whole."""

    point_format: int
    record_bytes: int
    laszip: bytes | None
    place: Place
    start: Ints
    length: Ints
    count: Ints
    whole: Ints
    """Indices of the groups that lie wholly in the chunk and whose bytes are copied."""


@dataclass(frozen=True)
class Recipe:
    """How a chunk is made. The first piece is of the source that the header and its records are taken from."""

    frame: Frame
    compressed: bool
    points_at: int
    """How many bytes of the first source lie before its points: the first range."""
    evlrs: tuple[tuple[int, int], ...]
    """Ranges of the first source's extended records that are kept."""
    pieces: tuple[Piece, ...]
    box: Box
    ranks: tuple[int, int] | None = None
    """Of the points in the box, in the order of the sources, those from one to the other; None is all."""
    reach: tuple[int, int] | None = None
    """How far the overlap goes, in x and y."""
    only: Mapping[str, Any] | None = None
    """The region that was asked for, where it is no box."""

    @property
    def wide(self) -> Box:
        """Return the box with its overlap."""
        if self.reach is None:
            return self.box
        (x0, y0, x1, y1), (rx, ry) = self.box, self.reach
        return x0 - rx, y0 - ry, x1 + rx, y1 + ry


def to_json(recipe: Recipe) -> dict[str, Any]:
    frame = recipe.frame
    found: dict[str, Any] = {
        "scale": list(frame.scale),
        "offset": list(frame.offset),
        "point_format": frame.point_format,
        "record_bytes": frame.record_bytes,
        "compressed": recipe.compressed,
        "points_at": recipe.points_at,
        "evlrs": [list(one) for one in recipe.evlrs],
        "box": list(recipe.box),
        "pieces": [_piece_to_json(piece) for piece in recipe.pieces],
    }
    for name in ("ranks", "reach"):
        if getattr(recipe, name) is not None:
            found[name] = list(getattr(recipe, name))
    if recipe.only is not None:
        found["only"] = dict(recipe.only)
    return found


def _piece_to_json(piece: Piece) -> dict[str, Any]:
    found: dict[str, Any] = {"point_format": piece.point_format, "record_bytes": piece.record_bytes}
    if piece.laszip is not None:
        found["laszip"] = piece.laszip.hex()
        found["length"] = piece.length.tolist()
    if not piece.place.is_same:
        found |= {"times": list(piece.place.times), "plus": list(piece.place.plus)}
    # Starts as the gaps between groups: mostly zeros.
    ends = np.concatenate([[0], (piece.start + piece.length)[:-1]])
    found["gap"] = (piece.start - ends).tolist() if len(piece.start) else []
    counts = piece.count.tolist()
    found["count"] = counts[0] if len(counts) > 1 and len(set(counts)) == 1 else counts
    if len(piece.whole):
        found["whole"] = _runs(piece.whole)
    return found


def _runs(numbers: Ints) -> list[list[int]]:
    """Return ascending *numbers* as [first, last + 1] of each unbroken run.

    >>> _runs(np.array([1, 2, 3, 7]))
    [[1, 4], [7, 8]]
    """
    edges = np.flatnonzero(np.diff(numbers) != 1) + 1
    return [[int(run[0]), int(run[-1]) + 1] for run in np.split(numbers, edges)]


def recipe_of(chunk: Chunk) -> Recipe:
    """Read the recipe of *chunk*, which anybody can have written; FormatError if it is none."""
    try:
        return _recipe(chunk.recipe, len(chunk.sources))
    except (KeyError, ValueError, TypeError, IndexError, OverflowError):
        raise FormatError(
            f"chunk {chunk.chunk}: its recipe is not one of a point cloud", hint="make the plan again"
        ) from None


def _recipe(fields: Mapping[str, Any], n_sources: int) -> Recipe:
    frame = Frame(
        _three(fields["scale"]), _three(fields["offset"]), _format(fields), _record_bytes(fields, _format(fields))
    )
    pieces = tuple(_piece(one) for one in fields["pieces"])
    if not 1 <= len(pieces) == n_sources:
        raise ValueError
    x0, y0, x1, y1 = map(int, fields["box"])
    ranks, reach = fields.get("ranks"), fields.get("reach")
    return Recipe(
        frame,
        bool(fields["compressed"]),
        int(fields["points_at"]),
        tuple((int(a), int(b)) for a, b in fields["evlrs"]),
        pieces,
        (x0, y0, x1, y1),
        None if ranks is None else (int(ranks[0]), int(ranks[1])),
        None if reach is None else (int(reach[0]), int(reach[1])),
        fields.get("only"),
    )


def _three(values: Sequence[float]) -> tuple[float, float, float]:
    x, y, z = map(float, values)
    return x, y, z


def _whole_three(values: Sequence[int]) -> tuple[int, int, int]:
    x, y, z = map(int, values)
    return x, y, z


def _format(fields: Mapping[str, Any]) -> int:
    found = int(fields["point_format"])
    if not 0 <= found < len(RECORD_BYTES):
        raise ValueError
    return found


def _record_bytes(fields: Mapping[str, Any], point_format: int) -> int:
    found = int(fields["record_bytes"])
    if not RECORD_BYTES[point_format] <= found <= MOST_RECORD_BYTES:
        raise ValueError
    return found


def _piece(fields: Mapping[str, Any]) -> Piece:
    point_format = _format(fields)
    record_bytes = _record_bytes(fields, point_format)
    gap = np.array(fields["gap"], np.int64)
    count = np.array(fields["count"], np.int64)
    count = np.full(len(gap), count) if count.ndim == 0 else count
    length = np.array(fields["length"], np.int64) if "length" in fields else count * record_bytes
    start = np.cumsum(gap + length) - length
    runs = [np.arange(int(a), int(b)) for a, b in fields.get("whole", []) if 0 <= a < b <= len(gap)]
    if not len(gap) == len(count) == len(length) or (count < 0).any() or (count > MOST_GROUP_POINTS).any():
        raise ValueError
    laszip = bytes.fromhex(fields["laszip"]) if "laszip" in fields else None
    if (gap < 0).any() or (length < 0).any() or (laszip is not None and len(laszip) < LEAST_LASZIP_BYTES):
        raise ValueError
    return Piece(
        point_format,
        record_bytes,
        laszip,
        Place(_whole_three(fields["times"]), _whole_three(fields["plus"])) if "times" in fields else Place(),
        start,
        length,
        count,
        np.concatenate(runs).astype(np.int64) if runs else np.zeros(0, np.int64),
    )
