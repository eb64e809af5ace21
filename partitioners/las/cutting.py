"""Cuts a cloud into chunks of even weight: boxes in the plane, and for each the groups of points that meet it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cbtool import split
from cbtool.asked import Options
from cbtool.chunk import Chunk, PartOf, SourceRanges
from cbtool.errors import FormatError, UsageError
from cbtool.index import Index
from cbtool.naming import numbered, safe, stem_and_suffix
from cbtool.partitioners.las import copc, density
from cbtool.partitioners.las.density import Density
from cbtool.partitioners.las.frame import WAVEFORMS, Frame, Place, check_fits, frame_of, place_of
from cbtool.partitioners.las.groups import Groups, Ints, LasFile, evlr_ranges, groups_of
from cbtool.partitioners.las.recipe import Box, Piece, Recipe, to_json
from cbtool.partitioners.las.writing import with_overlap_byte
from cbtool.source import coalesce

ALL_RANKS = 1 << 62


@dataclass(frozen=True)
class Member:
    """One file of a cloud: its groups, with their bounds in the cloud's integers (n, 4), half-open."""

    file: LasFile
    place: Place
    groups: Groups
    bounds: Ints
    can_copy: bool
    """Whether its groups, as they are encoded, may stand in a chunk's file."""


@dataclass(frozen=True)
class Asked:
    """What is asked of the cut, in the cloud's integers."""

    reach: tuple[int, int] | None
    only: Mapping[str, Any] | None
    only_box: Box | None


def cut(files: Sequence[LasFile], indexes: Sequence[Index | None], options: Options) -> list[Chunk]:
    """Return the chunks of the cloud that *files* are; without indexes from the hierarchies of COPC files."""
    frame = frame_of(files)
    asked = _asked(files, frame, options)
    if asked.reach is not None:
        with_overlap_byte(files[0].header, files[0].where)
    members, weights = _measured(files, indexes, frame, asked)
    if asked.only is not None:
        weights = density.within(weights, _Wanted(asked, frame))
        if not weights.counts["points"].any():
            raise UsageError(f"--only {options.only}: there are no points", hint="see where they are: cbtool info")
    by = options.by or "points"
    leaves = _leaves(weights, by, members, options)
    base = members[0]
    evlrs = tuple(evlr_ranges(base.file))
    stem, suffix = stem_and_suffix(base.file.where, ".las")
    stem = safe(options.name or stem.removesuffix(".copc"))
    # lazrs 0.8.2 loses a part of waveforms as it encodes.
    compressed = base.file.laszip is not None and frame.point_format not in WAVEFORMS
    suffix = ".laz" if compressed else ".las"
    spread = [(box, ranks, weight, n) for leaf in leaves for box, ranks, weight, n in _chunks_of(leaf, weights, by)]
    found = []
    for number, (box, ranks, weight, n_points) in enumerate(spread):
        found.append(
            _chunk(
                members,
                Recipe(
                    frame,
                    compressed,
                    base.file.header.points_at,
                    evlrs,
                    (),
                    _clipped(box, asked.only_box),
                    ranks,
                    asked.reach,
                    asked.only,
                ),
                numbered(stem, number, len(spread)) + suffix,
                (number, len(spread)),
                (by, weight),
                n_points if weights.exact else None,
                options,
            )
        )
    return found


def _clipped(box: Box, only: Box | None) -> Box:
    if only is None:
        return box
    return max(box[0], only[0]), max(box[1], only[1]), min(box[2], only[2]), min(box[3], only[3])


def _asked(files: Sequence[LasFile], frame: Frame, options: Options) -> Asked:
    reach = only = only_box = None
    if options.overlap is not None or options.only is not None:
        from cbtool.partitioners.las.reference import crs_of_file

        crs = crs_of_file(files[0])
        if options.overlap is not None:
            from cbtool.lengths import parse, steps

            length = parse("--overlap", options.overlap).in_units(crs)
            reach = (steps(length, abs(frame.scale[0])), steps(length, abs(frame.scale[1])))
        if options.only is not None:
            from cbtool.only import parse as parse_only
            from cbtool.region import of

            region = of(parse_only(options.only), crs)
            only, only_box = region.to_json(), region.to_units(frame.scale[:2], frame.offset[:2]).box
    return Asked(reach, only, only_box)


class _Wanted:
    """Says of boxes (n, 4) in the frame's integers whether they meet the region that is asked for."""

    def __init__(self, asked: Asked, frame: Frame) -> None:
        from cbtool.partitioners.las.build import region_of

        assert asked.only is not None
        self.region = region_of(asked.only, frame)

    def __call__(self, boxes: Ints) -> NDArray[np.bool_]:
        x0, y0, x1, y1 = self.region.box
        wanted = (boxes[:, 0] < x1) & (boxes[:, 2] > x0) & (boxes[:, 1] < y1) & (boxes[:, 3] > y0)
        near = np.flatnonzero(wanted)
        wanted[near] = self.region.meets(boxes[near])
        return np.asarray(wanted)


def _measured(
    files: Sequence[LasFile], indexes: Sequence[Index | None], frame: Frame, asked: Asked
) -> tuple[list[Member], Density]:
    """Return the members of the cloud and its density, from indexes, or else from what COPC files say of themselves."""
    known = [index for index in indexes if index is not None]
    if len(known) == len(files):
        members = [_indexed(file, index, frame) for file, index in zip(files, known, strict=True)]
        places = [member.place for member in members]
        if all(index.facts["k"] is None for index in known):
            raise FormatError(f"{files[0].where}: holds no points: there is nothing to cut")
        return members, density.from_indexes(known, places, ("points", "first", "ground"))
    if len(files) > 1:
        raise FormatError("several COPC files are cut together by their indexes")  # needs_index sees to it
    return _on_the_fly(files[0], frame, asked)


def _on_the_fly(file: LasFile, frame: Frame, asked: Asked) -> tuple[list[Member], Density]:
    info = copc.info_of(file.header, file.source.size, file.where)
    groups = groups_of(file, _meets(asked, frame, info) if asked.only_box is not None else None)
    if groups.nodes is None or not len(groups):
        raise FormatError(f"{file.where}: holds no points there: there is nothing to cut")
    least, most = file.header.least, file.header.most
    extent = (least[0], least[1], most[0], most[1])
    weights = density.from_hierarchy(groups.nodes, groups.length, info, extent, frame)
    prints = copc.footprints(groups.nodes, info)
    offset, scale = np.tile(frame.offset[:2], 2), np.tile(frame.scale[:2], 2)
    # A node's edge may lie between integers, and its writer may have seen to it by floats: a unit to either side.
    bounds = np.rint((prints - offset) / scale).astype(np.int64) + np.array([-1, -1, 2, 2])
    return [Member(file, Place(), groups, bounds, file.header.record_bytes == frame.record_bytes)], weights


def _meets(asked: Asked, frame: Frame, info: copc.Info) -> Any:
    box = asked.only_box
    assert box is not None
    reach = asked.reach or (0, 0)
    x0, y0 = ((box[i] - reach[i] - 2) * frame.scale[i] + frame.offset[i] for i in (0, 1))
    x1, y1 = ((box[i + 2] + reach[i] + 2) * frame.scale[i] + frame.offset[i] for i in (0, 1))

    def meets(prints: Any) -> Any:
        return (prints[:, 0] < x1) & (prints[:, 2] > x0) & (prints[:, 1] < y1) & (prints[:, 3] > y0)

    return meets


def _indexed(file: LasFile, index: Index, frame: Frame) -> Member:
    place = place_of(file.header, frame, file.where)
    arrays = index.arrays
    groups = Groups(arrays["start"], arrays["length"], arrays["count"])
    if index.facts["bounds"] is not None:
        low, high = index.facts["bounds"][:3], index.facts["bounds"][3:]
        check_fits(frame, place, low, high, file.where)
    axes = [
        arrays[name] * place.times[axis] + place.plus[axis]
        for name, axis in (("x0", 0), ("y0", 1), ("x1", 0), ("y1", 1))
    ]
    bounds = np.column_stack(axes) + np.array([0, 0, 1, 1])
    same = (file.header.point_format, file.header.record_bytes) == (frame.point_format, frame.record_bytes)
    return Member(file, place, groups, bounds, file.laszip is not None and place.is_same and same)


def _leaves(weights: Density, by: str, members: Sequence[Member], options: Options) -> list[split.Leaf]:
    """Cut the grid as it is asked for."""
    kind = by if by in weights.counts else density.GRIDS[by]
    counts = weights.counts[kind]
    total = int(weights.counts["points"].sum()) // weights.unit
    if not counts.any():
        raise UsageError(f"--by {by}: no point has any weight", hint="--by points")
    if options.records is not None:
        if options.shape == "grid":
            raise UsageError("--records is for --shape kd", hint="--shape grid -n N")
        return split.at_most(counts, options.records * weights.unit)
    stored = sum(int(member.groups.length.sum()) for member in members)
    if options.size is not None:
        n = split.count_for_size(stored, options.size)
    else:
        n = options.chunks if isinstance(options.chunks, int) else split.auto(stored, options.workers)
    n = max(1, min(n, total))
    if options.shape == "grid":  # which leaves out what has no weight: that must be what has no points
        return split.grid(weights.counts["points"], n)
    return split.plane(counts, n)


def _chunks_of(leaf: split.Leaf, weights: Density, by: str) -> list[tuple[Box, tuple[int, int] | None, int, int]]:
    """Return (box, ranks, weight, points) of each chunk of a leaf: several share a cell that cannot be cut."""
    x0, y0, x1, y1 = leaf.box
    n_points = int(weights.counts["points"][x0:x1, y0:y1].sum()) // weights.unit
    box, n = weights.box(leaf.box), leaf.n_chunks
    kind = by if by in weights.counts else density.GRIDS[by]
    weight = int(weights.counts[kind][x0:x1, y0:y1].sum()) // weights.unit
    if n == 1:
        return [(box, None, weight, n_points)]
    edges = [0, *split.even(n_points, n), n_points]
    last = n_points if weights.exact else ALL_RANKS
    return [
        (box, (a, b if b < n_points else last), weight * (b - a) // max(1, n_points), b - a)
        for a, b in zip(edges, edges[1:], strict=False)
    ]


def _chunk(
    members: Sequence[Member],
    recipe: Recipe,
    name: str,
    number: tuple[int, int],
    weight: tuple[str, int],
    records: int | None,
    options: Options,
) -> Chunk:
    from dataclasses import replace

    sources, pieces = [], []
    n_requests = n_bytes = 0
    for i, member in enumerate(members):
        piece = _piece(member, recipe)
        if i and not len(piece.start):
            continue
        wanted = list(zip(piece.start.tolist(), piece.length.tolist(), strict=True))
        if not i:
            wanted += [(0, recipe.points_at), *recipe.evlrs]
        ranges = tuple(coalesce(wanted))
        n_requests, n_bytes = n_requests + len(ranges), n_bytes + sum(length for _, length in ranges)
        source = member.file.source
        sources.append(SourceRanges(source.uri, source.version, source.size, ranges))
        pieces.append(piece)
    recipe = replace(recipe, pieces=tuple(pieces))
    core: dict[str, Any] = {"box": list(recipe.box)}
    if recipe.ranks is not None:
        core["ranks"] = list(recipe.ranks)
    core |= {"scale": list(recipe.frame.scale), "offset": list(recipe.frame.offset)}
    by, amount = weight
    return Chunk(
        plan="",
        chunk=number[0],
        of=number[1],
        format="las",
        exact=records is not None,
        name=name,
        sources=tuple(sources),
        parts=(PartOf(name, tuple(range(len(sources)))),),
        records=records,
        weight=n_bytes if by == "bytes" else amount,
        by=by,
        core=core,
        overlap=options.overlap,
        requests=n_requests,
        n_bytes=n_bytes,
        recipe=to_json(recipe),
    )


def _piece(member: Member, recipe: Recipe) -> Piece:
    """Return the groups of *member* that meet the chunk, and which of them it has whole."""
    header, bounds, groups = member.file.header, member.bounds, member.groups
    x0, y0, x1, y1 = recipe.wide
    meets = (bounds[:, 0] < x1) & (bounds[:, 2] > x0) & (bounds[:, 1] < y1) & (bounds[:, 3] > y0) & (groups.count > 0)
    picked = np.flatnonzero(meets)
    whole = np.zeros(0, np.int64)
    if member.can_copy and recipe.compressed and recipe.reach is None and recipe.ranks is None and _is_box(recipe):
        of = bounds[picked]
        whole = np.flatnonzero((of[:, 0] >= x0) & (of[:, 1] >= y0) & (of[:, 2] <= x1) & (of[:, 3] <= y1))
    return Piece(
        header.point_format,
        header.record_bytes,
        member.file.laszip,
        member.place,
        groups.start[picked],
        groups.length[picked],
        groups.count[picked],
        whole,
    )


def _is_box(recipe: Recipe) -> bool:
    return recipe.only is None or "polygons" not in recipe.only
