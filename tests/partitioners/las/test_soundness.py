"""Damage of any kind gives an error of ours or points: no panic of lazrs, no crash, no memory as the file asks for."""

from __future__ import annotations

import random
import struct
import subprocess
import sys
import textwrap

import pytest

from cbtool.errors import FormatError
from cbtool.partitioners.las.groups import groups_of, open_las
from cbtool.partitioners.las.survey import survey
from fixtures.wrong_clouds import patched, points_at, table_at
from tests.partitioners.gzip.conftest import BytesSource
from tests.partitioners.las.conftest import made, opened

VICTIMS = ("format1.laz", "format3.laz", "format5.laz", "format6.laz", "format10.laz", "extra.laz", "uneven.copc.laz")
FF = b"\xff"


def passes(data: bytes) -> bool:
    """Say whether all points of a file decode; FormatError is what may happen otherwise, and nothing else."""
    source = BytesSource(data)
    try:
        file = open_las(source)
        survey(file, groups_of(file), (0, source.size), thorough=True)
    except FormatError:
        return False
    return True


def damaged(data: bytes, dice: random.Random) -> bytes:
    """Return *data* with one of the kinds of damage that files meet, somewhere behind the header."""
    first = points_at(data)
    at = dice.randrange(first, len(data))
    n = dice.choice((1, 4, 100, 3_000))
    match dice.randrange(5):
        case 0:
            return data[:at]
        case 1:
            return patched(data, {at: bytes([data[at] ^ 1 << dice.randrange(8)])})
        case 2:
            return data[:at] + dice.choice((FF, b"\0")) * n + data[at + n :]
        case 3:
            return data[:at] + dice.randbytes(n) + data[at + n :]
        case _:
            laszip = data.index(b"laszip encoded") - 2 + 54
            return patched(data, {laszip + dice.randrange(52): dice.randbytes(1)})


@pytest.mark.parametrize("name", VICTIMS)
def test_any_damage_is_an_error_or_other_points(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    dice = random.Random(name)
    outcomes = {passes(damaged(made(name), dice)) for _ in range(25)}
    assert outcomes == {False, True} or outcomes == {False}
    assert "panicked" not in capfd.readouterr().err


@pytest.mark.parametrize("name", VICTIMS)
def test_streams_that_no_encoder_begins_so(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Lazrs panics at some of them, at each layer."""
    data = made(name)
    file, groups = opened(data)
    at = int(groups.start[0]) + file.header.record_bytes
    if file.header.point_format < 6:
        assert not passes(patched(data, {at: FF * 4}))
    else:
        n_layers = 9 + {6: 0, 10: 3}[file.header.point_format] + file.header.n_extra
        sizes = struct.unpack_from(f"<{n_layers}I", data, at + 4)
        at += 4 + 4 * n_layers
        assert at + sum(sizes) == groups.start[0] + groups.length[0]
        for size in sizes:
            assert not size or not passes(patched(data, {at: FF * 4}))
            at += size
    assert not passes(patched(data, {table_at(data) + 8: FF * 4})) or file.header.is_copc
    assert "panicked" not in capfd.readouterr().err


def test_sizes_of_layers_that_do_not_add_up_are_not_allocated(capfd: pytest.CaptureFixture[str]) -> None:
    data = made("format6.laz")
    at = points_at(data) + 8 + 30
    assert not passes(patched(data, {at + 4: struct.pack("<9I", *[0xFFFFFFFF] * 9)}))
    assert not passes(patched(data, {at: struct.pack("<I", 0xFFFFFFFF)}))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", ["format3.laz", "format6.laz", "format10.laz"])
def test_times_of_ones_do_not_end_the_process(name: str) -> None:
    """Lazrs calls itself for each symbol of a kind, which such bytes are full of, and its stack overflows."""
    code = f"""
        from cbtool.errors import FormatError
        from tests.partitioners.las.conftest import made, opened
        from tests.partitioners.las.test_soundness import passes
        data = made({name!r})
        _, groups = opened(data)
        end = int(groups.start[0] + groups.length[0])
        for n in (300, 2_000, 12_000, int(groups.length[0]) - 200):
            assert not passes(data[: end - n] + bytes([255]) * n + data[end:])
        print("done")
    """
    ran = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "done\n", "")
