"""The container image of the function that the engine on AWS Lambda invokes, and how it becomes one."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import version

NAME = "cbtool"
HANDLER = "cbtool.backends.lambda_handler.handler"


def dockerfile(extras: Sequence[str] = ()) -> str:
    """Return a Dockerfile of an image with this Python and this cbtool, and *extras* of it.

    cbtool is installed from a wheel beside the Dockerfile if there is one, else from where pip finds it.
    """
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    wanted = ",".join(sorted({"lambda", *extras}))
    return f"""\
# The function that cbtool's engine on AWS Lambda invokes.
FROM python:{python}-slim
# The image also needs what your commands call: RUN apt-get update && apt-get install -y --no-install-recommends …
COPY Dockerfile cbtool-*.whl* /wheels/
RUN pip install --no-cache-dir --find-links /wheels "cbtool[{wanted}]=={version("cbtool")}" && rm -r /wheels
ENV TMPDIR=/tmp HOME=/tmp
ENTRYPOINT ["python", "-m", "awslambdaric"]
CMD ["{HANDLER}"]
"""


def next_step(folder: str) -> str:
    """Return the commands that make the function of the Dockerfile in *folder*."""
    return f"""\
# From cbtool's source, if pip cannot find this version: pip wheel --no-deps --wheel-dir {shlex.quote(folder)} .
docker build --platform linux/amd64 --provenance=false -t REPOSITORY:{NAME} {shlex.quote(folder)}
docker push REPOSITORY:{NAME}
aws lambda create-function --function-name {NAME} --package-type Image --code ImageUri=REPOSITORY:{NAME} \\
  --role ROLE_ARN --memory-size 2048 --timeout 900 --ephemeral-storage Size=4096
# The role must reach the sources, the destination and the prefix of payloads. Then write to lambda.toml:
#   function = "{NAME}"
#   payloads = "s3://BUCKET/PREFIX"
cbtool backends check lambda --engine-config lambda.toml
"""
