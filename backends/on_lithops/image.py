"""The image that Lithops' workers run in, where they run in containers, and how it becomes one."""

from __future__ import annotations

import ast
import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from cbtool.backends.on_lithops.config import backend_of, read_config
from cbtool.errors import UsageError

NAME = "cbtool"
TEXTS = ("DOCKERFILE_DEFAULT", "DEFAULT_DOCKERFILE")
"""What Lithops calls its own text in the settings of each backend that has one."""
AWS_LAMBDA = """
RUN pip install --no-cache-dir awslambdaric boto3
WORKDIR /function
COPY lithops_lambda.zip .
RUN python -m zipfile -e lithops_lambda.zip . && rm lithops_lambda.zip \\
    && mkdir handler && touch handler/__init__.py && mv entry_point.py handler/
ENTRYPOINT ["python", "-m", "awslambdaric"]
CMD ["handler.entry_point.lambda_handler"]
"""


def dockerfile(extras: Sequence[str] = (), config: str | None = None) -> str:
    """Return a Dockerfile with this Python, this cbtool with *extras*, this Lithops, and what its backend needs.

    cbtool is installed from a wheel beside the Dockerfile if there is one, else from where pip finds it. The backend
    is that of Lithops' configuration. UsageError if its workers are not made from a Dockerfile.
    """
    backend = backend_of(read_config(config)[0])
    theirs = "" if backend == "localhost" else AWS_LAMBDA if backend == "aws_lambda" else _theirs(backend)
    wanted = ",".join(sorted({"lithops", *extras}))
    pins = " ".join(f"{name}=={version(name)}" for name in ("lithops", "cloudpickle"))
    return f"""\
# The workers of cbtool's engine on Lithops, for its backend {backend}.
FROM python:{sys.version_info.major}.{sys.version_info.minor}-slim
# The image also needs what your commands call: RUN apt-get update && apt-get install -y --no-install-recommends …
COPY Dockerfile cbtool-*.whl* /wheels/
RUN pip install --no-cache-dir --find-links /wheels "cbtool[{wanted}]=={version("cbtool")}" {pins} && rm -r /wheels
{theirs}"""


def next_step(folder: str, config: str | None = None) -> str:
    """Return the commands that make the runtime of the Dockerfile in *folder*."""
    found, origin = read_config(config)
    backend, where = backend_of(found), shlex.quote(folder)
    wheel = f"# From cbtool's source, if pip cannot find this version: pip wheel --no-deps --wheel-dir {where} ."
    if backend == "localhost":
        return f"""\
{wheel}
docker build -t {NAME} {where}
# Then, for workers in containers of this machine, write to Lithops' configuration:
#   localhost: {{runtime: {NAME}}}
# Without that they are processes with this Python, and need no image.
"""
    file = shlex.quote(str(Path(origin).absolute()) if Path(origin).exists() else "CONFIG")
    return f"""\
{wheel}
cd {where}
lithops runtime build -b {backend} -c {file} -f Dockerfile REPOSITORY/{NAME}
lithops runtime deploy -b {backend} -c {file} REPOSITORY/{NAME}
# Then write to the section {backend} of {file}: runtime: REPOSITORY/{NAME}
cbtool backends check lithops --engine-config {file}
"""


def _theirs(backend: str) -> str:
    """Return what Lithops itself puts into an image for *backend*; read, not imported: importing it makes folders."""
    package = find_spec("lithops")
    assert package is not None and package.origin is not None
    path = Path(package.origin).parent / "serverless" / "backends" / backend / "config.py"
    try:
        found = ast.parse(path.read_text("utf-8")).body
    except FileNotFoundError:
        found = []
    for one in found:
        if isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name) and one.targets[0].id in TEXTS:
            return str(ast.literal_eval(one.value))
    raise UsageError(
        f"lithops: the workers of its backend {backend!r} are not made from a Dockerfile",
        hint="see Lithops' page of that backend; its workers need: pip install 'cbtool[lithops]'",
    )
