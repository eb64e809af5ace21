"""What all tasks that make one COPC file must agree on: its frame, its cube, and its columns."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass

import numpy as np

from cbtool.errors import FormatError
from cbtool.partitioners.las import columns as cut
from cbtool.partitioners.las.columns import DEEPEST, Columns, columns_of, counts_in, finest_for
from cbtool.partitioners.las.cube import Cube, cube_of
from cbtool.partitioners.las.density import Density
from cbtool.partitioners.las.frame import Frame
from cbtool.partitioners.las.header import RECORD_BYTES
from cbtool.partitioners.las.promote import PROMOTED

Corner = tuple[int, int, int]


@dataclass(frozen=True)
class Layout:
    """*least* and *most* are the integer coordinates of the cloud's points, both included."""

    frame: Frame
    least: Corner
    most: Corner
    columns: Columns

    @property
    def cube(self) -> Cube:
        return cube_of(self.least, self.most, self.frame.scale, self.frame.offset)


def layout_of(frame: Frame, least: Corner, most: Corner, density: Density) -> Layout:
    """Return the layout of a cloud in *frame*, whose points lie as *density* says."""
    made = Frame(frame.scale, frame.offset, PROMOTED[frame.point_format], 0)
    made = Frame(made.scale, made.offset, made.point_format, RECORD_BYTES[made.point_format] + frame.n_extra)
    cube = cube_of(least, most, frame.scale, frame.offset)
    depth = finest_for(cube, int(max(np.diff(density.x_edges[:2])[0], np.diff(density.y_edges[:2])[0])))
    columns, rows = np.nonzero(density.counts["points"])
    x, y = density.x_edges[columns], density.y_edges[rows]
    half = np.diff(density.x_edges[:2]) // 2, np.diff(density.y_edges[:2]) // 2
    points = density.counts["points"][columns, rows] // density.unit
    counts = counts_in(cube, x + half[0], y + half[1], points, depth)
    return Layout(made, least, most, columns_of(counts, cut.MOST_POINTS))


def to_bytes(layout: Layout) -> bytes:
    frame, table = layout.frame, layout.columns.bundle_of.astype("<i4")
    fields = {
        "scale": frame.scale,
        "offset": frame.offset,
        "point_format": frame.point_format,
        "record_bytes": frame.record_bytes,
        "least": layout.least,
        "most": layout.most,
        "depths": layout.columns.depths,
        "bundle_of": base64.b64encode(zlib.compress(table.tobytes())).decode(),
    }
    return json.dumps(fields).encode()


def from_bytes(said: bytes) -> Layout:
    """Read a layout that an earlier step wrote; FormatError if it is none."""
    try:
        fields = json.loads(said)
        packed = zlib.decompressobj()
        data = packed.decompress(base64.b64decode(fields["bundle_of"]), 4 << 2 * DEEPEST)
        table = np.frombuffer(data, "<i4").astype(np.int32)
        side = round(len(table) ** 0.5)
        columns = Columns(table.reshape(side, side), tuple(map(int, fields["depths"])))
        (a, b, c), (d, e, f) = fields["scale"], fields["offset"]
        frame = Frame((a, b, c), (d, e, f), int(fields["point_format"]), int(fields["record_bytes"]))
        (x, y, z), (u, v, w) = fields["least"], fields["most"]
    except (ValueError, KeyError, TypeError, zlib.error):
        raise FormatError("what the tasks agreed on is damaged", hint="begin anew: --force") from None
    return Layout(frame, (x, y, z), (u, v, w), columns)
