"""Writes rasters as cloud-optimised GeoTIFFs (OGC 21-026) by GDAL, block by block: always the same bytes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cbtool.terrain.grid import Window
from cbtool.terrain.model import VOID, Raster

BLOCK = 512
CACHE_BYTES = 128_000_000
"""What GDAL may keep of blocks; it is all that a raster takes besides one of its tiles."""
ABOUT = {
    "dsm": "surface: height of the highest first return in the cell",
    "dtm": "ground: mean height of the ground points in the cell, voids filled",
    "chm": "height of the surface above the ground",
    "slope": "steepness of the ground, after Horn (1981)",
    "aspect": "direction that the ground faces, clockwise from north",
    "cover": "share of first returns that are high above the ground",
}
ANGLES = ("slope", "aspect")


@dataclass(frozen=True)
class Reference:
    """Where a raster lies: its extent in cells, their size, and the coordinate system."""

    extent: Window
    resolution: float
    crs: str | None
    """WKT of the horizontal coordinate system; None where the cloud does not say."""
    unit: str
    """What heights are in: ``metre``, ``US survey foot`` …"""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(said: Mapping[str, Any]) -> Reference:
        return Reference(Window(**said["extent"]), said["resolution"], said["crs"], said["unit"])

    def place(self, window: Window) -> tuple[int, int]:
        """Return the column and row of *window* in a raster that has its north on top."""
        whole = self.extent
        return window.col - whole.col, whole.row + whole.height - window.row - window.height


def write_cog(path: str, name: str, tiles: Iterable[tuple[Window, Raster]], reference: Reference) -> None:
    """Write the raster *name* that *tiles* make up to *path*; what none of them covers is void.

    A plain GeoTIFF lies beside it meanwhile.
    """
    import rasterio
    import rasterio.shutil
    import rasterio.windows

    extent, step = reference.extent, reference.resolution
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "width": extent.width,
        "height": extent.height,
        "count": 1,
        "dtype": "float32",
        "nodata": VOID,
        "crs": reference.crs,
        "transform": rasterio.Affine(step, 0.0, extent.col * step, 0.0, -step, (extent.row + extent.height) * step),
    }
    blocks = {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "SPARSE_OK": True, "BIGTIFF": "IF_SAFER"}
    plain = f"{path}.plain"
    with rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES, GDAL_PAM_ENABLED="NO", GDAL_NUM_THREADS="1"):
        with rasterio.open(plain, "w", **profile, **blocks) as file:
            for window, raster in tiles:
                col, row = reference.place(window)
                file.write(raster[::-1], 1, window=rasterio.windows.Window(col, row, window.width, window.height))
            file.descriptions = (name,)
            file.units = (_unit(name, reference.unit),)
            file.update_tags(TIFFTAG_IMAGEDESCRIPTION=ABOUT[name])
        rasterio.shutil.copy(plain, path, driver="COG", **_options(name))
    os.unlink(plain)


def _unit(name: str, of_heights: str) -> str:
    return "degree" if name in ANGLES else "" if name == "cover" else of_heights


def _options(name: str) -> Mapping[str, Any]:
    """Return what the COG driver is told. An average of directions is none."""
    return {
        "COMPRESS": "DEFLATE",
        "PREDICTOR": "YES",
        "BLOCKSIZE": BLOCK,
        "OVERVIEW_RESAMPLING": "NEAREST" if name == "aspect" else "AVERAGE",
        "BIGTIFF": "IF_SAFER",
        "STATISTICS": "NO",
    }
