"""A real S3 server for the tests: Ceph's RADOS Gateway, from Debian's packages, with nothing installed.

``python -m tests.rgw COMMAND...`` unpacks the packages below ``.rgw/`` (once), starts a cluster of one of each on free
ports of loopback, runs COMMAND with the variables `ENDPOINT` and `CONFIG`, and ends and removes the cluster, whatever
happens; the status is COMMAND's. Where the cluster cannot be had, COMMAND runs with `MISSING`, which says why.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

ENDPOINT, CONFIG, MISSING = "CBTOOL_TEST_RGW", "CBTOOL_TEST_RGW_CONFIG", "CBTOOL_TEST_RGW_MISSING"
DEBIANS_PYTHON = "/usr/bin/python3"
PACKAGES = ("radosgw", "ceph-mon", "ceph-osd")
TOP = Path(__file__).resolve().parent.parent / ".rgw"
ROOT = TOP / "root"
ACCESS, SECRET = "AKTEST", "SKTESTSKTEST"
"""The keys that `tests.conftest` gives for every server."""

SETTINGS = """\
[global]
fsid = {fsid}
mon_host = v1:127.0.0.1:{mon_port}
mon_initial_members = a
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
ms_bind_ipv6 = false
ms_bind_msgr2 = false
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
run_dir = {folder}
admin_socket =
log_file =
log_to_stderr = true
err_to_stderr = true
debug_rgw = 0/0
erasure_code_dir = {libraries}/ceph/erasure-code
plugin_dir = {libraries}/ceph
osd_class_dir = {libraries}/rados-classes
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_data = {folder}/mon
mon_cluster_log_to_file = false
mon_data_avail_warn = 1
mon_data_avail_crit = 0
# Answers of the monitor are the most of what starting takes.
paxos_propose_interval = 0.02
paxos_min_wait = 0.01
osd_data = {folder}/osd
osd_objectstore = bluestore
osd_memory_target = 1Gi
bluestore_block_size = 4Gi
bluestore_block_create = true
[client.rgw]
rgw_data = {folder}/rgw
rgw_frontends = beast endpoint=127.0.0.1:{port}
"""


class Unobtainable(Exception):
    """The server cannot be had on this machine; says why."""


class NotStarted(Exception):
    """The server is here and does not start: that is a defect, and no reason to leave tests out."""


def fetch() -> None:
    """Download the packages that this machine lacks, and unpack them below `ROOT`."""
    if ROOT.exists():
        return
    if missing := [one for one in ("apt-get", "dpkg", "setpriv", DEBIANS_PYTHON) if not shutil.which(one)]:
        raise Unobtainable(f"no {', '.join(missing)} here")
    debs = TOP / "debs"
    (debs / "partial").mkdir(parents=True, exist_ok=True)
    if not _download(debs):
        subprocess.run(["apt-get", "-q", "update"], stdin=subprocess.DEVNULL, stdout=2, check=False, timeout=300)
        if not _download(debs):
            raise Unobtainable(f"apt-get gives no {', '.join(PACKAGES)}")
    with TemporaryDirectory(dir=TOP) as unpacked:
        for deb in debs.glob("*.deb"):
            subprocess.run(["dpkg", "-x", deb, f"{unpacked}/root"], check=True)
        os.rename(f"{unpacked}/root", ROOT)
    shutil.rmtree(debs)


def _download(debs: Path) -> bool:
    options = ["-q", "-y", "--no-install-recommends", "--download-only"]
    options += [f"-oDir::Cache::archives={debs}", "-oAcquire::Retries=2"]
    # Who may not take the lock needs none, for nothing is installed; who may waits for what others install.
    options += ["-oDPkg::Lock::Timeout=300" if os.geteuid() == 0 else "-oDebug::NoLocking=1"]
    argv = ["apt-get", *options, "-oAcquire::http::Timeout=20", "install", *PACKAGES]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=2, check=False, timeout=300)
    return done.returncode == 0 and any(debs.glob("radosgw_*.deb"))


def _libraries() -> Path:
    """Return the folder of the unpacked libraries: its name is the machine's."""
    return next((ROOT / "usr/lib").glob("*/ceph")).parent


def _environment() -> dict[str, str]:
    """Return what the unpacked programs need around them."""
    here = _libraries()
    paths = [here, here / "ceph", ROOT / "lib" / here.name, ROOT / "usr/lib/ceph"]
    mine = {k: v for k, v in os.environ.items() if not k.startswith(("CEPH_", "PYTHON", "AWS_"))}
    return mine | {
        "LD_LIBRARY_PATH": ":".join(map(str, paths)),
        "PYTHONPATH": str(ROOT / "usr/lib/python3/dist-packages"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def program(name: str, config: str, *words: str) -> list[str]:
    """Return the command line of an unpacked program; the script ``ceph`` needs Debian's own Python."""
    path = str(ROOT / "usr/bin" / name)
    return [*([DEBIANS_PYTHON, path] if name == "ceph" else [path]), "-c", config, *words]


def tell(name: str, config: str, *words: str) -> str:
    """Run a program of the cluster to its end, and return what it printed."""
    done = subprocess.run(
        program(name, config, *words), env=_environment(), capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode:
        raise NotStarted(f"{name} {words[0]}: status {done.returncode}: {done.stderr.strip()[-500:]}")
    return done.stdout


@dataclass
class Cluster:
    """A monitor, a store and a gateway, in *folder*."""

    folder: Path
    port: int
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    passing: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def config(self) -> str:
        return str(self.folder / "ceph.conf")

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        fsid, mon_port = str(uuid.uuid4()), free_port()
        libraries, folder, config = _libraries(), self.folder, self.config
        text = SETTINGS.format(fsid=fsid, mon_port=mon_port, port=self.port, folder=folder, libraries=libraries)
        (folder / "ceph.conf").write_text(text)
        for name in ("mon", "osd", "rgw"):
            (folder / name).mkdir()
        at = f"v1:127.0.0.1:{mon_port}"
        tell("monmaptool", config, "--create", "--addv", "a", at, "--fsid", fsid, str(folder / "monmap"))
        tell("ceph-mon", config, "--mkfs", "-i", "a", "--monmap", str(folder / "monmap"))
        self._serve("ceph-mon", "-i", "a")
        store = str(uuid.uuid4())
        tell("ceph", config, "--connect-timeout", "30", "osd", "new", store)
        tell("ceph-osd", config, "-i", "0", "--osd-uuid", store, "--mkfs")
        self._serve("ceph-osd", "-i", "0")
        # This waits for the store, and makes the pools.
        keys = ("--access-key", ACCESS, "--secret", SECRET)
        self._until(self._told("radosgw-admin", "user", "create", "--uid", "test", "--display-name", "test", *keys))
        self._serve("radosgw", "-n", "client.rgw")
        self._until(self._answers)

    def _serve(self, name: str, *words: str) -> None:
        # The kernel ends it should this process be killed.
        self.processes.append(
            self._begun(["setpriv", "--pdeathsig", "KILL", *program(name, self.config, "-f", *words)])
        )

    def _begun(self, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        with open(self.folder / "log", "ab") as log:
            return subprocess.Popen(
                argv, env=_environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0
            )

    def _told(self, name: str, *words: str) -> Callable[[], bool]:
        """Start a program, and return what says whether it has ended well."""
        process = self._begun(["setpriv", "--pdeathsig", "KILL", *program(name, self.config, *words)])
        self.passing.append(process)
        return lambda: process.poll() == 0

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.endpoint, timeout=5):
                return True
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False

    def _until(self, what: Callable[[], bool], seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while not what():
            if time.monotonic() > end:
                raise NotStarted(f"it does not start; {self.folder}/log ends: {self._last_words()}")
            self._revive()
            time.sleep(0.05)

    def _revive(self) -> None:
        """Start again what has ended: a store that greets the monitor too early is told "wrong fsid", and gives up."""
        for i, one in enumerate(self.processes):
            if one.poll() is not None:
                time.sleep(0.2)
                self.processes[i] = self._begun(cast(list[str], one.args))

    def _last_words(self) -> str:
        lines = (self.folder / "log").read_text(errors="replace").split("\n")
        return " | ".join(line for line in lines if line)[-1000:]

    def stop(self) -> None:
        for one in reversed([*self.processes, *self.passing]):
            one.kill()  # nothing of it is kept
            one.wait()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@contextmanager
def running() -> Iterator[Cluster]:
    """Have a cluster for the block; Unobtainable if there can be none."""
    fetch()
    with TemporaryDirectory(prefix="cluster-", dir=TOP) as folder:
        cluster = Cluster(Path(folder), free_port())
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


def administer(*words: str) -> dict[str, Any]:
    """Run ``radosgw-admin`` on the cluster that this process was given; return what it says."""
    said = tell("radosgw-admin", os.environ[CONFIG], *words)
    found: dict[str, Any] = json.loads(said) if said.strip() else {}
    return found


def hand_over(argv: Sequence[str], more: Mapping[str, str]) -> int:
    """Run *argv* to its end; signals that are meant for it are passed on."""
    process = subprocess.Popen(argv, env={**os.environ, **more})
    signal.signal(signal.SIGTERM, lambda number, frame: process.terminate())
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue  # it got the same, and decides


def serve(name: str, server: Callable[[], AbstractContextManager[dict[str, str]]], missing: str) -> int:
    """Run the command that this process was given beside *server*, with the variables that it yields."""
    began, argv = time.monotonic(), sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    try:
        with server() as variables:
            print(f"{name} is ready after {time.monotonic() - began:.1f} s", file=sys.stderr)
            status = hand_over(argv, variables)
    except Unobtainable as error:
        print(f"no {name}: {error}", file=sys.stderr)
        status = hand_over(argv, {missing: str(error)})
    return status if status >= 0 else 128 - status


@contextmanager
def _variables() -> Iterator[dict[str, str]]:
    with running() as cluster:
        yield {ENDPOINT: cluster.endpoint, CONFIG: cluster.config}


if __name__ == "__main__":
    sys.exit(serve("Ceph's gateway", _variables, MISSING))
