"""What engines charge: a dated table of list prices, which a user's own can replace."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cbtool.errors import ConfigError

TABLE = Path(__file__).with_name("prices.toml")
RATES = ("usd_per_gb_s", "usd_per_cpu_s", "cpus_per_gb", "usd_per_call", "usd_per_get", "usd_per_put")


@dataclass(frozen=True)
class Prices:
    """Prices in US dollars, by the names that `Limits.price` gives."""

    dated: str
    """The day they were looked up, ``2026-11-24``."""
    rows: Mapping[str, Mapping[str, float]]
    sources: Mapping[str, str]
    path: str

    def cost(self, price: str | None, *, gb_s: float, calls: int, gets: int, puts: int) -> float | None:
        """Return what a run costs: nothing where *price* is None, and None where the table has no such row.

        *gb_s* are seconds times the memory that was reserved, in 2^30 bytes. Free tiers are not counted.
        """
        if price is None:
            return 0.0
        row = self.rows.get(price)
        if row is None:
            return None
        per_gb_s = row["usd_per_gb_s"] + row["usd_per_cpu_s"] * row["cpus_per_gb"]
        requests = gets * row["usd_per_get"] + puts * row["usd_per_put"]
        return gb_s * per_gb_s + calls * row["usd_per_call"] + requests


def load(path: str | None = None) -> Prices:
    """Read the price table at *path*, or the one that comes with cbtool; ConfigError says what is wrong with it."""
    file = Path(path) if path else TABLE
    try:
        table = tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        said = f"{path}: {error.strerror}" if isinstance(error, OSError) else f"{path}: {error}"
        raise ConfigError(said, hint="a price table is TOML: see prices.toml of cbtool.choice") from None
    dated = str(table.pop("dated", ""))
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", dated):
        raise ConfigError(f"{file}: a price table must say of when it is", hint='dated = "2026-11-24"')
    rows, sources = {}, {}
    for name, row in table.items():
        rows[name] = _row(file, name, row)
        sources[name] = str(row.get("source", ""))
    return Prices(dated, rows, sources, str(file))


def _row(file: Path, name: str, row: Any) -> dict[str, float]:
    if not isinstance(row, dict):
        raise ConfigError(f"{file}: {name} is not a table of prices", hint=f"[{name}]")
    for key, value in row.items():
        if key == "source":
            continue
        if key not in RATES:
            raise ConfigError(f"{file}: {name} has no price {key!r}", hint=f"it has: {', '.join(RATES)}")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
            raise ConfigError(f"{file}: {name}: {key} = {value!r} is not a price in US dollars")
    return {key: float(row.get(key, 0.0)) for key in RATES}
