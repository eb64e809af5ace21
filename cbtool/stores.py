"""How a bucket is reached: endpoint, region and credentials from the usual places. Nothing here is shown to anyone."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cbtool.errors import ConfigError, NotAllowed, UsageError

if TYPE_CHECKING:
    from obstore.store import AzureStore, GCSStore, S3Store

    Store = AzureStore | GCSStore | S3Store

SCHEMES = ("s3", "gs", "az")
OWN_ENDPOINT = re.compile(r"https://s3(\.[a-z0-9-]+)?\.amazonaws\.com(\.cn)?")
ENDPOINT = re.compile(r"https?://([\w.-]+|\[[0-9a-fA-F:]+\])(:\d{1,4}|:[1-5]\d{4}|:6[0-4]\d{3})?(/[\w./-]*)?")
BUCKET = re.compile(r"[\w.-]+")
ELSEWHERE = ("GOOGLE_BASE_URL", "AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT")
"""Variables that name another server than Google's or Microsoft's own; one on loopback may speak plain HTTP."""
PREFIXES = ("AWS_", "GOOGLE_", "AZURE_")

_users: set[int] = set()


@dataclass(frozen=True)
class Place:
    """A key in a bucket. *key* may be empty."""

    scheme: str
    bucket: str
    key: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.key}"


def place(uri: str) -> Place:
    """Take apart ``s3://bucket/key``; the key is taken as it is, without percent-decoding."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme.lower() not in SCHEMES:
        raise UsageError(f"{scheme}://: not a place that cbtool knows", hint="s3://, gs://, az://, https:// or a path")
    if "@" in bucket:
        raise UsageError("a bucket URI holds no credentials", hint="give them by AWS_* variables or a profile")
    if not BUCKET.fullmatch(bucket):
        raise UsageError(f"{scheme}://{bucket!r}: not the name of a bucket")
    if key.startswith("/") or "//" in key or {".", ".."} & set(key.split("/")):
        raise UsageError(f"{uri}: keys with empty, . or .. parts cannot be reached", hint="copy it to another key")
    if not key.isprintable():
        raise UsageError(f"{ascii(uri)}: keys with control characters or broken letters cannot be reached")
    return Place(scheme.lower(), bucket, key)


def open_store(where: Place, *, session: Any = None, writing: bool = False) -> tuple[Store, bool]:
    """Return the store of a bucket, and whether it is asked anonymously.

    It asks once: retries are `retry`'s, which counts them. One that is *writing* waits longer for an answer (it
    comes after the upload) and repeats the parts of a multipart upload by itself.
    """
    _users.add(os.getpid())
    if len(_users) > 1:
        raise RuntimeError("object storage was used before a fork: start workers by spawn or forkserver")
    from cbtool import retry

    environment = tuple(sorted(item for item in os.environ.items() if item[0].startswith(PREFIXES)))
    return _store(where.scheme, where.bucket, session, writing, retry.STALL_S, environment)


@lru_cache(maxsize=64)
def _store(
    scheme: str, bucket: str, session: Any, writing: bool, stall_s: float, environment: tuple[tuple[str, str], ...]
) -> tuple[Store, bool]:
    from datetime import timedelta

    from obstore.store import AzureStore, GCSStore, S3Store

    from cbtool import retry

    for name, value in environment:
        if not (value.isascii() and value.isprintable()):
            raise ConfigError(f"{name}: holds a line break, or a letter that no such setting has")
    common: dict[str, Any] = {
        "client_options": {
            "connect_timeout": timedelta(seconds=retry.CONNECT_S),
            "read_timeout": timedelta(seconds=stall_s * (10 if writing else 1)),
            "timeout": timedelta(days=7),
        },
        "retry_config": {"max_retries": retry.ATTEMPTS if writing else 0, "retry_timeout": timedelta(minutes=5)},
    }
    plain = any(value.startswith("http://") for name, value in environment if name in ELSEWHERE)
    common["client_options"]["allow_http"] = plain
    try:
        if scheme == "gs":
            return GCSStore(bucket, **common), False
        if scheme == "az":
            return AzureStore(bucket, **common), False
        options = s3_options(dict(environment), session)
        common["client_options"]["allow_http"] = str(options.get("endpoint", "")).startswith("http://")
        return S3Store(bucket, **options, **common), "skip_signature" in options
    except _refusals() as error:
        # Their texts may hold settings; the kind is enough.
        raise ConfigError(f"{scheme}://{bucket}: cannot be set up ({type(error).__name__})", hint=CURE) from None


CURE = "look at AWS_ENDPOINT_URL, AWS_REGION, or the account and key of the other stores"


def _refusals() -> tuple[type[Exception], ...]:
    from obstore.exceptions import BaseError

    return BaseError, ValueError


def s3_options(environment: dict[str, str], session: Any) -> dict[str, Any]:
    """Return what `S3Store` needs. boto3 (slow to import) is asked only where the environment alone does not do."""
    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    if endpoint and not ENDPOINT.fullmatch(endpoint):
        raise ConfigError("AWS_ENDPOINT_URL: not a URL", hint="as https://HOST:PORT")
    options: dict[str, Any] = {"endpoint": endpoint} if endpoint else {}
    keys = [environment.get(f"AWS_{name}") for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN")]
    if session is None and any(_true(environment.get(f"AWS_{n}")) for n in ("SKIP_SIGNATURE", "NO_SIGN_REQUEST")):
        return options | {"skip_signature": True}
    if session is None and keys[0] and keys[1] and not environment.get("AWS_PROFILE"):
        names = ("access_key_id", "secret_access_key", "session_token")
        return options | {name: key for name, key in zip(names, keys, strict=True) if key}
    return options | _by_boto3(session)


def _true(value: str | None) -> bool:
    return (value or "").lower() in ("1", "true", "yes", "on")


def _by_boto3(session: Any) -> dict[str, Any]:
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        session = session or boto3.Session()
        credentials = session.get_credentials()
        client = session.client("s3", region_name=session.region_name or "us-east-1")
        options: dict[str, Any] = {"region": client.meta.region_name}
        if not OWN_ENDPOINT.fullmatch(client.meta.endpoint_url):
            options["endpoint"] = client.meta.endpoint_url
        if credentials is None:
            return options | {"skip_signature": True}
        credentials.get_frozen_credentials()
    except (BotoCoreError, ValueError) as error:
        raise NotAllowed(f"AWS credentials: {error}", hint="aws configure, aws sso login, or AWS_* variables") from None
    from obstore.auth.boto3 import Boto3CredentialProvider

    return options | {"credential_provider": Boto3CredentialProvider(session)}
