"""Where Lithops' configuration is found, what is wrong with one, and what its errors and images are called."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cbtool.backends.on_lithops.config import backend_of, read_config
from cbtool.backends.on_lithops.errors import refusal, trouble
from cbtool.backends.on_lithops.image import dockerfile, next_step
from cbtool.errors import CbtoolError, ConfigError, NotAllowed, TimeLimit, Unavailable, UsageError, WorkerDied


def test_the_file_that_is_given_comes_first_and_then_those_of_lithops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("given", "named", ".lithops/config", "work/.lithops_config"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"lithops: {{backend: {Path(name).name}}}\n")
    monkeypatch.chdir(tmp_path / "work")
    environment = {"LITHOPS_CONFIG": '{"lithops": {"backend": "text"}}', "LITHOPS_CONFIG_FILE": str(tmp_path / "named")}
    home = {"HOME": str(tmp_path)}
    assert read_config(str(tmp_path / "given"), environment)[0]["lithops"] == {"backend": "given"}
    assert read_config(None, environment) == ({"lithops": {"backend": "text"}}, "LITHOPS_CONFIG")
    del environment["LITHOPS_CONFIG"]
    assert read_config(None, {**environment, **home}) == ({"lithops": {"backend": "named"}}, str(tmp_path / "named"))
    assert read_config(None, home) == ({"lithops": {"backend": "config"}}, str(tmp_path / ".lithops" / "config"))


def test_a_file_in_the_working_folder_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have come with somebody else's data, and names endpoints and what workers run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cbtool.backends.on_lithops.config.SYSTEM", tmp_path / "none")
    (tmp_path / ".lithops_config").write_text("lithops: {backend: aws_lambda}\n")
    config, origin = read_config(None, {"HOME": str(tmp_path)})
    assert (backend_of(config), origin) == ("localhost", "none")


@pytest.mark.parametrize(
    "text, said",
    [
        ("lithops: [a\n b", r"not YAML: .* \(line 2\)"),
        ("- a\n", "it does not hold names and values"),
        ("lithops: localhost\n", "section 'lithops' does not hold"),
        ("a: !!python/object/apply:os.system ['true']\n", "not YAML"),
        ("\x00", "not YAML"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "config").write_text(text)
    with pytest.raises(ConfigError, match=said) as caught:
        read_config(str(tmp_path / "config"))
    assert "\n" not in str(caught.value) and str(caught.value).startswith(str(tmp_path / "config"))


def test_a_file_that_is_not_there_is_said_wherever_it_was_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "none")
    for given, environment in ((missing, {}), (None, {"LITHOPS_CONFIG_FILE": missing})):
        with pytest.raises(ConfigError, match=f"{missing}: no such file"):
            read_config(given, environment)
    with pytest.raises(ConfigError, match="LITHOPS_CONFIG: not JSON"):
        read_config(None, {"LITHOPS_CONFIG": "{"})
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config(str(tmp_path))


@pytest.mark.parametrize(
    "config, backend",
    [
        ({"lithops": {"backend": "k8s", "mode": "localhost"}}, "k8s"),
        ({"lithops": {"mode": "localhost"}}, "localhost"),
        ({"lithops": {"mode": "standalone"}}, "aws_ec2"),
        ({"lithops": None}, "aws_lambda"),
    ],
)
def test_the_backend_is_the_one_that_lithops_takes(tmp_path: Path, config: dict[str, Any], backend: str) -> None:
    assert backend_of(config) == backend
    # Lithops makes folders where it is imported.
    ask = (
        "import json, sys; from lithops.config import _resolve_mode_and_backend as ask; c = json.load(sys.stdin);"
        "c['lithops'] = c['lithops'] or {}; print(ask(c)[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", ask],
        input=json.dumps(config),
        env={**os.environ, "TMPDIR": str(tmp_path)},
        text=True,
        stdout=subprocess.PIPE,
        timeout=60,
        check=True,
    )
    assert done.stdout == f"{backend}\n"


class ClientError(Exception):
    """As botocore's is called."""


class EndpointConnectionError(Exception):
    """As botocore's is called."""


@pytest.mark.parametrize(
    "error, kind, said",
    [
        (Exception("Lithops version mismatch. Host version: 3.8.0"), ConfigError, "mismatch"),
        (ModuleNotFoundError("No module named 'kubernetes'"), ConfigError, "kubernetes"),
        (ClientError("An error occurred (AccessDenied)"), NotAllowed, "AccessDenied"),
        (EndpointConnectionError("Could not connect"), Unavailable, "connect"),
        (ConnectionRefusedError("refused"), Unavailable, "refused"),
        (KeyError("region"), ConfigError, "region"),
        (UsageError("ours"), UsageError, "ours"),
    ],
)
def test_what_keeps_lithops_from_starting(error: Exception, kind: type[CbtoolError], said: str) -> None:
    found = refusal(error)
    assert type(found) is kind and said in str(found)


@pytest.mark.parametrize(
    "error, kind, said",
    [
        (MemoryError("The function process was killed with SIGKILL"), WorkerDied, "SIGKILL"),
        (RuntimeError("The function process exited with code 5"), WorkerDied, "code 5"),
        (TimeoutError("Function exceeded maximum time"), TimeLimit, "maximum time"),
        (ModuleNotFoundError("No module named 'cbtool'", name="cbtool"), ConfigError, "lacks a package"),
        (OSError("storage went away\nand more"), Unavailable, "went away"),
    ],
)
def test_what_ends_a_call_without_a_frame(error: Exception, kind: type[CbtoolError], said: str) -> None:
    found = trouble(error)
    assert type(found) is kind and said in str(found) and "\n" not in str(found)


def instructions(text: str) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile: continued lines joined, comments left out."""
    lines = "\n".join(line for line in text.split("\n") if not line.startswith("#")).replace("\\\n", " ")
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines.split("\n") if line.strip())]


@pytest.mark.parametrize("backend", ["localhost", "aws_lambda", "k8s", "knative", "code_engine", "gcp_cloudrun"])
def test_an_image_has_cbtool_its_extras_and_what_lithops_needs(tmp_path: Path, backend: str) -> None:
    config = tmp_path / "lithops.yaml"
    config.write_text(json.dumps({"lithops": {"backend": backend}}))
    found = instructions(dockerfile(["raster"], str(config)))
    known = {"FROM", "COPY", "RUN", "ENV", "WORKDIR", "USER", "ENTRYPOINT", "CMD", "ARG"}
    assert {word for word, _ in found} <= known and found[0][0] == "FROM"
    assert any(word == "RUN" and "cbtool[lithops,raster]==" in rest and "lithops==" in rest for word, rest in found)
    # Lithops puts its own handler beside the Dockerfile when it builds: the image must take it in.
    assert any(word == "COPY" and ".zip" in rest for word, rest in found) == (backend != "localhost")
    steps = next_step("image/", str(config))
    assert ("docker build" in steps) == (backend == "localhost")
    assert (f"lithops runtime build -b {backend} -c {config}" in steps) == (backend != "localhost")


def test_a_backend_without_a_dockerfile_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lithops.yaml").write_text("lithops: {backend: aws_ec2}\n")
    with pytest.raises(UsageError, match="'aws_ec2' are not made from a Dockerfile"):
        dockerfile([], str(tmp_path / "lithops.yaml"))
