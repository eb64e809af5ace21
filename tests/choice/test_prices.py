from __future__ import annotations

import re
from pathlib import Path

import pytest

from cbtool.choice.prices import load
from cbtool.errors import ConfigError

OWN = """
dated = "2031-02-03"

[here]
source = "our own contract"
usd_per_gb_s = 2
usd_per_cpu_s = 3.0
cpus_per_gb = 0.5
usd_per_call = 10
usd_per_get = 100
usd_per_put = 1000
"""


def own(tmp_path: Path, text: str = OWN) -> str:
    path = tmp_path / "prices.toml"
    path.write_text(text)
    return str(path)


def test_the_table_is_dated_and_names_where_its_prices_come_from() -> None:
    prices = load()
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", prices.dated)
    assert {"aws_lambda", "gcp_cloudrun", "azure_functions", "code_engine"} <= set(prices.rows)
    assert all(prices.sources.values())


def test_a_million_seconds_of_a_function_of_one_gigabyte() -> None:
    # The vendor's own way to put it: 0.0000166667 a GB-second, 0.20 a million requests.
    cost = load().cost("aws_lambda", gb_s=1e6, calls=10**6, gets=0, puts=0)
    assert cost == pytest.approx(16.6667 + 0.20)
    # And of object storage: 0.0004 a thousand GET, 0.005 a thousand PUT.
    assert load().cost("aws_lambda", gb_s=0, calls=0, gets=1000, puts=1000) == pytest.approx(0.0004 + 0.005)


def test_every_price_of_a_table_of_ones_own_counts(tmp_path: Path) -> None:
    prices = load(own(tmp_path))
    assert prices.dated == "2031-02-03" and prices.sources == {"here": "our own contract"}
    assert prices.cost("here", gb_s=1, calls=0, gets=0, puts=0) == 2 + 3 * 0.5
    assert prices.cost("here", gb_s=0, calls=1, gets=2, puts=3) == 10 + 200 + 3000


def test_an_engine_without_a_price_costs_nothing_and_one_without_a_row_is_not_known(tmp_path: Path) -> None:
    prices = load(own(tmp_path))
    assert prices.cost(None, gb_s=9, calls=9, gets=9, puts=9) == 0.0
    assert prices.cost("aws_lambda", gb_s=9, calls=9, gets=9, puts=9) is None


@pytest.mark.parametrize(
    "text, said",
    [
        ("[here", "prices.toml: "),
        ("[here]\nusd_per_call = 1", "must say of when it is"),
        ('dated = "soon"', "must say of when it is"),
        ('dated = "2031-02-03"\nhere = 5', "here is not a table"),
        ('dated = "2031-02-03"\n[here]\nusd_per_cal = 5', "here has no price 'usd_per_cal'"),
        ('dated = "2031-02-03"\n[here]\nusd_per_call = -1', "usd_per_call = -1 is not a price"),
        ('dated = "2031-02-03"\n[here]\nusd_per_call = inf', "usd_per_call = inf is not a price"),
        ('dated = "2031-02-03"\n[here]\nusd_per_call = nan', "usd_per_call = nan is not a price"),
        ('dated = "2031-02-03"\n[here]\nusd_per_call = "1"', "usd_per_call = '1' is not a price"),
        ('dated = "2031-02-03"\n[here]\nusd_per_call = true', "usd_per_call = True is not a price"),
    ],
)
def test_a_table_that_is_none_is_refused_with_the_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)) as caught:
        load(own(tmp_path, text))
    assert caught.value.exit_code == 78


def test_a_table_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no-such.toml: No such file"):
        load(str(tmp_path / "no-such.toml"))
