"""What all tasks that make one COPC file must agree on: its frame, and its cube."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property

from cbtool.errors import FormatError
from cbtool.partitioners.las.cube import Cube, cube_of
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
    cell_depth: int
    """Points are routed to the cells of this depth of the quadtree that the octree is from above."""

    @cached_property
    def cube(self) -> Cube:
        return cube_of(self.least, self.most, self.frame.scale, self.frame.offset)


def goal_frame(frame: Frame) -> Frame:
    """Return the frame that points of *frame* have in a COPC file."""
    form = PROMOTED[frame.point_format]
    return Frame(frame.scale, frame.offset, form, RECORD_BYTES[form] + frame.n_extra)


def to_bytes(layout: Layout) -> bytes:
    frame = layout.frame
    fields = {
        "scale": frame.scale,
        "offset": frame.offset,
        "point_format": frame.point_format,
        "record_bytes": frame.record_bytes,
        "least": layout.least,
        "most": layout.most,
        "cell_depth": layout.cell_depth,
    }
    return json.dumps(fields).encode()


def from_bytes(said: bytes) -> Layout:
    """Read a layout that an earlier step wrote; FormatError if it is none."""
    try:
        fields = json.loads(said)
        (a, b, c), (d, e, f) = fields["scale"], fields["offset"]
        frame = Frame((a, b, c), (d, e, f), int(fields["point_format"]), int(fields["record_bytes"]))
        (x, y, z), (u, v, w) = fields["least"], fields["most"]
        return Layout(frame, (x, y, z), (u, v, w), int(fields["cell_depth"]))
    except (ValueError, KeyError, TypeError):
        raise FormatError("what the tasks agreed on is damaged", hint="begin anew: --force") from None
