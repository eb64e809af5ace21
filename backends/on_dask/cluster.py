"""Dask clusters: one of this process, or one that is there already and must fit."""

from __future__ import annotations

import asyncio
import logging
import platform
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from ipaddress import ip_address
from tempfile import TemporaryDirectory
from typing import Any

import dask.config
from distributed import Client, Scheduler, Security, SpecCluster, Worker, rpc
from distributed.comm import get_address_host
from distributed.versions import VersionMismatchWarning

from cbtool.errors import ConfigError, Unavailable, UsageError

CONNECT_S = 5.0
"""How long a scheduler may take to answer."""

LARGE = {"distributed": {"admin": {"large-graph-warning-threshold": "1TB"}}}
"""A task may be large: no warning of it on stderr."""
LOGGERS = ("distributed", "distributed.client")


@contextmanager
def configured(file: str | None) -> Iterator[None]:
    """Use Dask's settings in *file* while the block runs, and have it say nothing: errors come as exceptions."""
    found = {} if file is None else _settings(file)
    before = {name: logging.getLogger(name).level for name in LOGGERS}
    with dask.config.set(dask.config.merge(dask.config.config, found, LARGE)):
        for name in LOGGERS:
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        try:
            yield
        finally:
            for name, level in before.items():
                logging.getLogger(name).setLevel(level)


def _settings(file: str) -> Mapping[str, Any]:
    import yaml

    try:
        with open(file, "rb") as stream:
            found = yaml.safe_load(stream)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {(error.strerror or str(error)).lower()}") from error
    except yaml.YAMLError as error:
        what = " ".join(str(error).split())
        raise ConfigError(f"{file}: no YAML: {what}", hint="it is to hold Dask's settings") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{file}: holds no settings of Dask", hint="as in ~/.config/dask/distributed.yaml")
    return found


class _OwnScheduler(Scheduler):  # type: ignore[misc]
    def start_http_server(self, *args: Any, **more: Any) -> None:
        """Open no port."""


class _OwnWorker(Worker):  # type: ignore[misc]
    def start_http_server(self, *args: Any, **more: Any) -> None:
        """Open no port."""


@contextmanager
def own_cluster(workers: int) -> Iterator[Client]:
    """Give the client of a cluster in threads of this process, with *workers* tasks at once."""
    inproc = {"protocol": "inproc://", "dashboard": False}
    # Without a memory limit nothing is spilled: the folder is not needed once the cluster is there, and is left to
    # nobody to remove.
    with TemporaryDirectory(prefix="cbtool-") as folder, dask.config.set({"temporary-directory": folder}):
        cluster = SpecCluster(
            scheduler={"cls": _OwnScheduler, "options": inproc},
            workers={0: {"cls": _OwnWorker, "options": {**inproc, "nthreads": workers, "memory_limit": 0}}},
            silence_logs=False,
        )
        sys.path[:] = [path for path in sys.path if not path.startswith(folder)]
    with cluster, Client(cluster, set_as_default=False) as client:
        yield client


@dataclass(frozen=True)
class Cluster:
    """One that was there before: *workers* tasks at once, *remote* if it may not see this machine's files."""

    client: Client
    workers: int
    remote: bool

    def tell(self, function: Callable[..., None], *words: str) -> None:
        """Have every worker call *function*; one that cannot is left alone."""
        with suppress(OSError, TimeoutError, RuntimeError, ValueError):
            client = self.client
            client.sync(client._run, function, *words, on_error="ignore", callback_timeout=CONNECT_S)


@contextmanager
def joined(address: str, workers: int | None) -> Iterator[Cluster]:
    """Give the cluster whose scheduler is at *address*; Unavailable if none answers, ConfigError if it does not fit."""
    try:
        # In a thread, for a notebook has a loop of its own in this one.
        with ThreadPoolExecutor(1) as thread:
            kind, node = thread.submit(asyncio.run, asyncio.wait_for(_asked(address), CONNECT_S)).result()
        if kind != "Scheduler":
            raise Unavailable(f"{address}: a Dask {kind} answers there", hint="name its scheduler")
        _check_node(node, address, "the scheduler")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", VersionMismatchWarning)
            client = Client(address, timeout=CONNECT_S, set_as_default=False)
    except ValueError as error:
        raise UsageError(f"--scheduler {address}: {error}", hint="as in tcp://HOST:8786") from error
    except OSError as error:
        raise Unavailable(f"{address}: no Dask scheduler answers there", hint="does `dask scheduler` run?") from error
    with client:
        threads = client.nthreads()
        if not threads and workers is None:
            raise Unavailable(f"{address}: the cluster has no workers", hint="start some, or say how many come: -j N")
        _check_workers(client, address)
        remote = not threads or not all(is_loopback(one) for one in (client.scheduler.address, *threads))
        yield Cluster(client, workers or sum(threads.values()), remote)


async def _asked(address: str) -> tuple[str, Mapping[str, Any]]:
    """Return what kind of Dask's nodes is at *address*, and its versions.

    A client would wait for ever for what is something else, and fail anyhow at a scheduler of another version.
    """
    async with rpc(address, timeout=CONNECT_S, connection_args=Security().get_connection_args("client")) as node:
        return (await node.identity())["type"], await node.versions()


def is_loopback(address: str) -> bool:
    """Say whether *address* (``tcp://127.0.0.1:8786``) is of this machine alone.

    >>> is_loopback("tcp://127.0.0.1:8786"), is_loopback("tls://10.0.0.2:8786")
    (True, False)
    """
    host = get_address_host(address)
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _check_workers(client: Client, where: str) -> None:
    """Raise ConfigError unless the workers have the versions of this side."""
    for at, node in client.get_versions()["workers"].items():
        _check_node(node, where, f"worker {at}")
    for at, found in client.run(version, "cbtool", on_error="return").items():
        if isinstance(found, PackageNotFoundError):
            raise ConfigError(f"{where}: worker {at} lacks a package: cbtool", hint="install it where the workers are")
        _must_be(ours("cbtool"), found, where, f"worker {at}", "cbtool")


def _check_node(node: Mapping[str, Any], where: str, who: str) -> None:
    packages = node["packages"]
    _must_be(ours("distributed"), packages["distributed"], where, who, "distributed")
    _must_be(ours("python"), ".".join(packages["python"].split(".")[:2]), where, who, "python")


def ours(name: str) -> str:
    """Return the version of this side's *name*, a package or ``python``."""
    return ".".join(platform.python_version_tuple()[:2]) if name == "python" else version(name)


def _must_be(wanted: str, found: object, where: str, who: str, package: str) -> None:
    if found != wanted:
        message = f"{where}: {who} has {package} {found}, this side {wanted}"
        raise ConfigError(message, hint="give both the same version")
