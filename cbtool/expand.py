"""What the words of a command line name: globs, prefixes and ``@list`` files become single files."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from cbtool.errors import MissingInput, NotAllowed, UsageError
from cbtool.source import open_source
from cbtool.stores import SCHEMES, place

SIDECARS = (".cbi", ".fai", ".gzi", ".tbi", ".csi")
MAGIC = re.compile(r"[*?[]")
LIST_LIMIT_BYTES = 256 * 1024 * 1024


def expand(args: Sequence[str]) -> list[str]:
    """Return the URIs that *args* name, in their order; what one pattern or prefix matches is sorted.

    A path that exists is taken as it is. Of a glob (``* ? [] **``; on disk and in buckets) and of a prefix or folder
    (``s3://b/dir/``, ``dir/``) come the files that are not hidden, no sidecar, and below no hidden folder; a sidecar
    or hidden file comes where the glob itself spells it out. ``@list.txt`` holds one URI a line, taken as it is.
    """
    uris = [uri for arg in args for uri in _named(arg)]
    seen: set[str] = set()
    for uri in uris:
        same = uri if _scheme(uri) else os.path.realpath(uri.removeprefix("file://"))
        if same in seen:
            raise UsageError(f"{uri}: named twice", hint="each source is cut once: leave one out", uri=uri)
        seen.add(same)
    return uris


def _scheme(uri: str) -> str | None:
    scheme = uri.partition("://")[0].lower() if "://" in uri else "file"
    return None if scheme == "file" else scheme


def _named(arg: str) -> list[str]:
    scheme = _scheme(arg)
    if arg.startswith("@") and not os.path.lexists(arg):
        found = list(_listed(arg[1:]))
    elif scheme in SCHEMES:
        found = _objects(arg)
    elif scheme:
        return [arg]
    else:
        path = arg.removeprefix("file://")
        if not path.endswith("/") and (os.path.lexists(path) or not MAGIC.search(path)):
            return [arg]
        found = _paths(path)
    if not found:
        raise MissingInput(f"{arg}: names no file", hint="hidden files and sidecars are left out", uri=arg)
    return found


def _listed(path: str) -> Iterator[str]:
    with open_source(path) as source:
        if source.size > LIST_LIMIT_BYTES:
            raise UsageError(f"@{path}: {source.size} bytes are too many for a list of names", uri=path)
        text = os.fsdecode(source.read(0, source.size))
    for line in text.splitlines():
        if (uri := line.strip()) and not uri.startswith("#"):
            yield uri


def _paths(path: str) -> list[str]:
    if path.endswith("/"):
        return sorted(path + name for name in _below(path)) if os.path.isdir(path) else []
    found = (one for one in glob.glob(path, recursive=True) if os.path.isfile(one))
    return sorted(one for one in found if not _sidecar(one) or path.endswith(_sidecar(one)))


def _below(folder: str) -> Iterator[str]:
    def refuse(error: OSError) -> None:
        raise NotAllowed(f"{error.filename}: cannot list: {(error.strerror or '').lower()}", uri=error.filename)

    for here, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if not name.startswith(".") and not _sidecar(name):
                yield os.path.relpath(os.path.join(here, name), folder)


def _sidecar(name: str) -> str:
    """Return the suffix that makes *name* a sidecar, or nothing."""
    return next((suffix for suffix in SIDECARS if name.endswith(suffix)), "")


def _objects(uri: str) -> list[str]:
    where = place(uri)
    literal = MAGIC.split(where.key)[0]
    if literal == where.key and where.key and not where.key.endswith("/"):
        return [uri]
    from cbtool.uploads import listing

    sizes = dict(listing(where, literal))
    top = f"{where.scheme}://{where.bucket}/"
    if where.key in sizes:  # a key with a star in it
        return [top + where.key]
    folders = {key[: m.start()] for key in sizes for m in re.finditer("/", key)}
    keys = [key for key, size in sizes.items() if size or key not in folders]  # not the marks of empty folders
    if literal == where.key:
        below = (key for key in keys if not re.search(r"(^|/)\.", key[len(literal) :]) and not _sidecar(key))
        return [top + key for key in below]
    pattern = where.key.split("/")
    matching = (key for key in keys if matches(key.split("/"), pattern))
    return [top + key for key in matching if not _sidecar(key) or where.key.endswith(_sidecar(key))]


def matches(names: Sequence[str], patterns: Sequence[str]) -> bool:
    """Say whether a path matches a glob, both in parts; as in the shell no wildcard matches a leading dot.

    >>> matches(["a", "b", "c.gz"], ["a", "**", "*.gz"]), matches(["a", ".c.gz"], ["a", "*.gz"])
    (True, False)
    """
    if not names or not patterns:
        return not names and all(one == "**" for one in patterns)
    visible = not names[0].startswith(".")
    if patterns[0] == "**":
        return matches(names, patterns[1:]) or (visible and matches(names[1:], patterns))
    fits = fnmatchcase(names[0], patterns[0]) and (visible or patterns[0].startswith("."))
    return fits and matches(names[1:], patterns[1:])
