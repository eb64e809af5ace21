"""Tasks that thin a cloud: chunks that overlap by a cell, of which each keeps what is its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

from cbtool.asked import Options
from cbtool.chunk import Chunk
from cbtool.converting.clouds import Cloud
from cbtool.index import Index
from cbtool.lengths import parse
from cbtool.partitioners.las.cutting import cut
from cbtool.partitioners.las.reference import crs_of_file
from cbtool.partitioners.las.thin import cells_of

CHUNK_POINTS = 1_000_000
"""How many points a task thins: they are all in memory. What stays does not depend on it; the order does."""


def thinning(cloud: Cloud, indexes: Sequence[Index], spacing: str) -> Sequence[Chunk]:
    """Return tasks that keep one point of each cube of *spacing*: the same points however they are cut."""
    crs = crs_of_file(cloud.files[0])
    side = parse("--spacing", spacing).in_units(crs)
    upwards = side
    if crs is not None and crs.metres is not None and crs.vertical_metres is not None:
        upwards = side * crs.metres / crs.vertical_metres
    cells = cells_of(cloud.recipe.frame, (side, side, upwards))
    chunks = cut(cloud.files, indexes, Options(records=CHUNK_POINTS, overlap=spacing))
    said = list(asdict(cells).values())
    return [replace(one, recipe={**one.recipe, "cells": [list(column) for column in said]}) for one in chunks]
