"""One test for each promise of an output: whole or not at all, nothing left over, nothing replaced that must not be."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from cbtool import output
from cbtool.errors import CannotWrite, NotAllowed
from cbtool.output import TEMPORARY, open_output

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    place = tmp_path / "tiny"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], capture_output=True).returncode:
        pytest.skip("cannot mount a tmpfs here")
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.fixture(params=["named", "nameless"])
def named(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether unfinished files have names: on file systems that cannot do without."""
    if request.param == "named":
        monkeypatch.setattr(output, "DESCRIPTORS", "/proc/no-such-folder")
    return bool(request.param == "named")


def test_takes_its_name_at_the_end_and_replaces(tmp_path: Path, named: bool) -> None:
    target = tmp_path / "out"
    target.write_bytes(b"old")
    with open_output(str(target)) as file:
        file.write(b"new")
        file.flush()
        assert target.read_bytes() == b"old"
        others = [p.name for p in tmp_path.iterdir() if p != target]
        assert [name.startswith(TEMPORARY) for name in others] == [True] * named
    assert target.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["out"]


def test_takes_a_name_exclusively(tmp_path: Path, named: bool) -> None:
    with output.appearing(str(tmp_path / "out"), exclusive=True) as file:
        file.write(b"first")
    with pytest.raises(output.NameTaken), output.appearing(str(tmp_path / "out"), exclusive=True) as file:
        file.write(b"second")
    assert (tmp_path / "out").read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["out"]


def test_nothing_is_left_of_a_file_whose_writer_is_killed(tmp_path: Path) -> None:
    code = (
        "import os, sys; from cbtool.output import open_output\n"
        f"with open_output({str(tmp_path / 'out')!r}) as file:\n"
        "  file.write(b'x' * 100_000); file.flush(); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    assert os.listdir(tmp_path) == []


def test_takes_file_uris_and_names_without_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in ("bare", f"file://{tmp_path}/uri"):
        with open_output(path) as file:
            file.write(b"x")
    assert sorted(os.listdir()) == ["bare", "uri"]


@pytest.mark.parametrize("stop", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_leaves_nothing_when_it_is_stopped(tmp_path: Path, named: bool, stop: type[BaseException]) -> None:
    with pytest.raises(stop), open_output(str(tmp_path / "out")) as file:
        file.write(b"half")
        raise stop
    assert os.listdir(tmp_path) == []


def test_syncs_the_file_before_and_the_folder_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    real_sync, real_name = os.fsync, os.replace

    def sync(descriptor: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        real_sync(descriptor)

    def name(old: str, new: str) -> None:
        steps.append("name")
        real_name(old, new)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", name)
    with open_output(str(tmp_path / "out")) as file:
        file.write(b"x")
    assert steps == ["file", "name", "folder"]


def test_has_the_mode_of_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with open_output(str(tmp_path / "out")) as file:
            file.write(b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o640


def test_follows_a_symlink(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to("far/out")
    for content in (b"made", b"replaced"):
        with open_output(str(tmp_path / "link")) as file:
            file.write(content)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "far" / "out").read_bytes() == content
    assert os.listdir(tmp_path / "far") == ["out"]


@root_only
def test_a_device_is_written_and_not_replaced(tmp_path: Path) -> None:
    device = tmp_path / "null"
    os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    try:
        with open_output(str(device)) as file:
            file.write(b"x")
    except NotAllowed:
        pytest.skip("devices cannot be opened here")
    assert stat.S_ISCHR(device.stat().st_mode)
    assert os.listdir(tmp_path) == ["null"]


def test_a_fifo_is_written_and_not_replaced(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(fifo.read_bytes()))
    reader.start()
    with open_output(str(fifo)) as file:
        file.write(b"through")
    reader.join()
    assert got == [b"through"]
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_a_socket_is_written_and_not_replaced() -> None:
    with TemporaryDirectory(dir="/tmp") as short, socket.socket(socket.AF_UNIX) as server:
        path = f"{short}/socket"
        server.bind(path)
        server.listen()
        server.settimeout(10)
        with open_output(path) as file:
            connection, _ = server.accept()
            file.write(b"through")
        with connection:
            assert connection.recv(100) == b"through"
        assert stat.S_ISSOCK(os.stat(path).st_mode)


@pytest.mark.parametrize("path", ["-", "/dev/stdout"])
def test_a_dash_is_standard_output(path: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with open_output(path) as file:
        file.write(b"\x00data")
    assert capfdbinary.readouterr().out == b"\x00data"


def test_a_dash_works_where_stdout_is_no_file(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    with open_output("-") as file:
        file.write(b"\x00data")
    assert capsysbinary.readouterr().out == b"\x00data"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_dev_full_is_one_line_and_73() -> None:
    with pytest.raises(CannotWrite, match="^/dev/full: cannot write: no space left$") as caught:
        with open_output("/dev/full") as file:
            file.write(b"x" * 100_000)
    assert caught.value.exit_code == 73
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("size", [10, 100_000])
def test_full_standard_output_is_one_line_and_nothing_is_left_for_the_exit(size: int) -> None:
    code = (
        "import sys; from cbtool.output import open_output; from cbtool.errors import CannotWrite\n"
        f"try:\n  with open_output('-') as file: file.write(b'x' * {size})\n"
        "except CannotWrite as error: sys.exit(error.exit_code)"
    )
    with open("/dev/full", "wb") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (73, b"")


@root_only
def test_a_full_disk_is_one_line_and_73_and_leaves_nothing(tiny: Path) -> None:
    (tiny / "out").write_bytes(b"old")
    with pytest.raises(CannotWrite, match="no space left"), open_output(str(tiny / "out")) as file:
        file.write(b"x" * 100_000)
    assert os.listdir(tiny) == ["out"]
    assert (tiny / "out").read_bytes() == b"old"


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(CannotWrite, match="is a folder"):
        open_output(str(tmp_path))


def test_a_missing_folder_is_73(tmp_path: Path) -> None:
    with pytest.raises(CannotWrite, match="no such file or directory"), open_output(str(tmp_path / "no" / "out")):
        pass


def test_a_file_in_the_path_is_73(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CannotWrite, match="not a directory"), open_output(str(tmp_path / "file" / "out")):
        pass


def test_no_permission_is_77(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", denied)
    with pytest.raises(NotAllowed, match="permission denied") as caught, open_output(str(tmp_path / "out")):
        pass
    assert caught.value.exit_code == 77
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not shutil.which("setpriv") or os.geteuid() != 0, reason="needs root and setpriv")
def test_a_real_folder_without_permission_is_77(tmp_path: Path) -> None:
    code = (
        "import os, sys; from cbtool.output import open_output; from cbtool.errors import NotAllowed\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try:\n  with open_output('/etc/cbtool-test') as file: pass\n"
        "except NotAllowed as error: sys.exit(error.exit_code)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 77


def test_an_error_of_the_block_itself_is_not_put_down_to_the_output(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), open_output(str(tmp_path / "out")):
        open(tmp_path / "another")
