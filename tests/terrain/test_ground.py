"""Ground that no classification tells: houses and trees on a hillside are told from it."""

from __future__ import annotations

import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cbtool.terrain.grid import Grid, Window
from cbtool.terrain.ground import Cloth, Morphology, by_cloth, by_morphology
from cbtool.terrain.surfaces import Points

HOW = Morphology(window=9, rise=40, least=30)


def hillside() -> tuple[Points, NDArray[np.bool_]]:
    """Return points over 40 m by 40 m, in hundredths, and which are ground: a house of 5 m by 5 m, and trees."""
    random = np.random.default_rng(5)
    x, y = random.integers(0, 4000, (2, 12_000)).astype(np.int32)
    is_house = (abs(x - 2000) < 250) & (abs(y - 1500) < 250)
    is_tree = (random.random(len(x)) < 0.3) & ~is_house
    z = x // 5 + random.integers(-3, 4, len(x)) + np.where(is_house, 600, np.where(is_tree, 900, 0))
    every = np.ones(len(x), bool)
    return Points(x, y, z.astype(np.int32), every, every, ~every), ~(is_house | is_tree)


def morphology(points: Points) -> NDArray[np.bool_]:
    grid = Grid.of([0.01, 0.01], [0.0, 0.0], (0, 0, 4000, 4000), Fraction(1))
    return by_morphology(points, grid, grid.extent, HOW)


def cloth(points: Points) -> NDArray[np.bool_]:
    world: NDArray[np.float64] = np.column_stack([points.x, points.y, points.z]).astype(np.float64)
    world /= 100
    return by_cloth(world, Cloth(rigidness=1))


@pytest.mark.parametrize("way", [morphology, cloth])
def test_houses_and_trees_are_told_from_the_ground(
    way: Callable[[Points], NDArray[np.bool_]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    points, truth = hillside()
    found = way(points)
    assert (found & ~truth).sum() <= 0.002 * truth.sum(), "taken for ground"
    assert (found & truth).sum() > 0.85 * truth.sum(), "missed"
    assert os.listdir() == [] and capfd.readouterr().out == ""


def test_morphology_sees_no_further_than_its_reach() -> None:
    points, _ = hillside()
    grid = Grid.of([0.01, 0.01], [0.0, 0.0], (0, 0, 4000, 4000), Fraction(1))
    whole = by_morphology(points, grid, grid.extent, HOW)
    assert HOW.windows == [3, 5, 9] and HOW.reach == 14
    inner = Window(17, 14, 5, 6)
    area = inner.grown(HOW.reach).within(grid.extent)
    part = by_morphology(points, grid, area, HOW)
    inside = grid.index(points.x, points.y, inner) >= 0
    assert inside.sum() > 100 and np.array_equal(part[inside], whole[inside])


def test_few_points_are_no_cloth() -> None:
    assert not by_cloth(np.zeros((0, 3)), Cloth()).any() and not by_cloth(np.zeros((1, 3)), Cloth()).any()
