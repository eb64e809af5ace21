"""Heights of a terrain model that is made, read as small as they are drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cbtool.source import open_source
from cbtool.streams import SourceFile
from cbtool.terrain.picture import Heights


def heights_of(rasters: Sequence[str], most_columns: int, most_rows: int) -> tuple[Heights, float]:
    """Return heights in no more columns and rows than given, north on top, and the size of a cell.

    *rasters* are URIs of GeoTIFFs of one extent; each says what those before it do not.
    """
    import rasterio
    from rasterio.enums import Resampling

    found: Heights | None = None
    step = 1.0
    for uri in rasters:
        with open_source(uri) as source, rasterio.open(SourceFile(source)) as raster:
            times = max(1.0, raster.width / most_columns, raster.height / most_rows)
            shape = max(1, round(raster.height / times)), max(1, round(raster.width / times))
            read = raster.read(1, out_shape=shape, resampling=Resampling.average, masked=True)
            heights: Heights = read.astype(np.float32).filled(np.nan)
            found = heights if found is None else np.where(np.isnan(found), heights, found)
            step = float(raster.res[0]) * times
    assert found is not None
    return found, step
