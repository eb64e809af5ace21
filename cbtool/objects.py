"""Objects in buckets as sources, through obstore. (How they are written: `cbtool.uploads`.)"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from cbtool.errors import CbtoolError, ConfigError, MissingInput, NotAllowed, StaleError, Unavailable, UsageError
from cbtool.retry import PASSING_STATUS, Passing, Remote, again, patiently
from cbtool.source import STREAM_BLOCK_BYTES
from cbtool.stores import Place, open_store, place

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult, ObjectMeta

T = TypeVar("T")
STATUS = re.compile(r"(?:status code: |\(code: )(\d{3})")  # the second where several are deleted together, as on az://
PERFORMING = "Error performing"
"""What obstore's texts say of a request that failed."""
CODE = re.compile(r"<Code>(\w{1,60})</Code>")
BAD_KEYS = ("ExpiredToken", "InvalidToken", "TokenRefreshRequired", "InvalidAccessKeyId", "SignatureDoesNotMatch")


class ObjectSource(Remote):
    """An object in a bucket. Every GET carries If-Match, and its answer is held against the version as well.

    The version: the ETag, and the version id where the bucket keeps versions; on gs:// the generation.
    With *pinned* (version and size, from a plan) nothing is asked until something is read.
    """

    def __init__(self, uri: str, *, session: Any = None, pinned: tuple[str, int] | None = None) -> None:
        self._place = place(uri)
        self._session = session
        super().__init__(str(self._place), 0, "")
        self._store, self._anonymous = open_store(self._place, session=session)
        self._etag: str | None = None
        if pinned is None:
            self.version, self.size, self._etag = self._look()
        else:
            self.version, self.size = pinned
            self._etag = etag_of(self.version)

    def _look(self) -> tuple[str, int, str | None]:
        import obstore

        try:
            meta = again(self.uri, lambda: self._asking(lambda: obstore.head(self._store, self._place.key)))
        except MissingInput:
            self._tell_missing_bucket()
            raise
        return self._version(meta), meta["size"], meta["e_tag"]

    def _version(self, meta: ObjectMeta) -> str:
        if self._place.scheme == "gs" and meta["version"]:
            return f"generation:{meta['version']}"
        if not meta["e_tag"]:
            raise UsageError(f"{self.uri}: the service gives no ETag", hint="copy it to one that does", uri=self.uri)
        version = meta["version"] if meta["version"] not in (None, "null") else None
        return f"etag:{meta['e_tag'].strip(chr(34))}" + (f";version:{version}" if version else "")

    def _tell_missing_bucket(self) -> None:
        """Ask whether it is the bucket that is missing: the answer to a HEAD does not say."""
        import obstore

        try:
            self._asking(lambda: next(iter(obstore.list(self._store, "cbtool-no-such-prefix", chunk_size=1)), None))
        except (NotAllowed, Passing, Unavailable, ConfigError):
            return

    def _asking(self, call: Callable[[], T]) -> T:
        with asking(self._place, self._anonymous):
            return patiently(call)

    def _get(self, start: int, length: int) -> Iterator[bytes]:
        self.meter.add(1, 0)
        with asking(self._place, self._anonymous):
            wanted: GetOptions = {"range": (start, start + length)}
            if self._etag:
                wanted["if_match"] = self._etag
            answer, small = patiently(lambda: self._answer(wanted, length))
            if (self._version(answer.meta), answer.meta["size"]) != (self.version, self.size):
                raise self.changed()
            if small is not None:
                self.meter.add(0, len(small))
                yield small
                return
            stream = answer.stream(STREAM_BLOCK_BYTES)
            while block := patiently(lambda: next(stream, b"")):
                self.meter.add(0, len(block))
                yield bytes(block)

    def _answer(self, wanted: GetOptions, length: int) -> tuple[GetResult, bytes | None]:
        """Ask; what is no more than a block comes with the answer, for each change of threads takes its time."""
        import obstore

        answer = obstore.get(self._store, self._place.key, options=wanted)
        return answer, bytes(answer.bytes()) if length <= STREAM_BLOCK_BYTES else None

    def check(self) -> None:
        if self._look()[:2] != (self.version, self.size):
            raise self.changed()

    @property
    def portable(self) -> bool:
        return self._session is None


def etag_of(version: str) -> str | None:
    """Return the ETag to pin reads to, as it is sent; None where the version has none.

    >>> etag_of("etag:0af1;version:7"), etag_of("generation:12")
    ('"0af1"', None)
    """
    kind, _, rest = version.partition(":")
    return f'"{rest.partition(";version:")[0]}"' if kind == "etag" else None


@contextmanager
def asking(where: Place, anonymous: bool) -> Iterator[None]:
    """Turn what obstore raises into our errors; its texts, which may hold settings, are not passed on."""
    from obstore.exceptions import AlreadyExistsError, BaseError

    try:
        yield
    except AlreadyExistsError:
        raise
    except (BaseError, OSError) as error:
        # An OSError may be that of a file on this machine; a writer of obstore raises its own without a number.
        ours = isinstance(error, (BaseError, FileNotFoundError)) or PERFORMING in str(error)
        if not ours or (isinstance(error, OSError) and error.errno is not None):
            raise
        raise explain(where, anonymous, str(error)) from None


def explain(where: Place, anonymous: bool, text: str) -> CbtoolError | Passing:
    """Return what an error of obstore with this *text* means."""
    found, named = STATUS.search(text), CODE.search(text)
    if found:
        return judge(where, anonymous, int(found[1]), named[1] if named else "")
    if "redirect without LOCATION" in text:
        return judge(where, anonymous, 301, "")
    if "non-partial response" in text or re.search(r"Requested \d+\.\.\d+, got", text):
        return UsageError(
            f"{where}: the service does not keep to ranges", hint="copy it to another, or to this machine"
        )
    if "TimedOut" in text or "timed out" in text:
        return Passing("did not answer in time")
    return Passing("cannot be connected to" if "kind: Connect" in text else "broke off")


def judge(where: Place, anonymous: bool, status: int, code: str) -> CbtoolError | Passing:
    """Return what a service means that answers *status*, with S3's *code* if there is one."""
    name, why = str(where), f" ({code})" if code else ""
    if status == 412:
        hint = "make the plan (and the index) again"
        return StaleError(f"{name}: it has changed since it was opened or planned", hint=hint, uri=name)
    if code in ("NoSuchBucket", "ContainerNotFound"):
        return MissingInput(f"{where.scheme}://{where.bucket}: no such bucket", uri=name)
    if status == 404:
        return MissingInput(f"{name}: no such object", uri=name)
    if status in (401, 403) or code in BAD_KEYS:
        keys = "asked without credentials: set AWS_PROFILE or AWS_ACCESS_KEY_ID"
        hint = keys if anonymous else "the credentials that were found do not reach it"
        return NotAllowed(f"{name}: not allowed{why}", hint=hint, uri=name)
    if status in PASSING_STATUS or code == "SlowDown":
        return Passing(f"answered {status}{why}")
    if status == 301:
        return ConfigError(f"{name}: the bucket is in another region", hint="set AWS_REGION to it", uri=name)
    if status == 416:
        return StaleError(f"{name}: it has become shorter", hint="plan again", uri=name)
    return Unavailable(f"{name}: it answered {status}{why}", uri=name)
