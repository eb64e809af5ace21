"""Text: records are lines, of any length, in any encoding whose newline is one code unit."""

from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence
from typing import Any

from cbtool.errors import FormatError
from cbtool.partitioners.lines import Lines
from cbtool.partitioners.stream import Stream

MARKS = {
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
"""Byte order marks; the longer before those that they begin with."""

UNMARKED = {"encoding": "ascii-compatible"}
MARKED = {"encoding": "utf-8-sig"}


def detect(head: bytes) -> dict[str, Any] | None:
    r"""Return the encoding as far as it matters to cuts; None for what is not text: it holds NUL bytes.

    >>> detect(b"\xff\xfea\0"), detect(b"caf\xe9"), detect(b"\x7fELF\0")
    ({'encoding': 'utf-16-le'}, {'encoding': 'ascii-compatible'}, None)
    """
    for mark, encoding in MARKS.items():
        if head.startswith(mark):
            return {"encoding": encoding}
    return None if b"\0" in head else dict(UNMARKED)


def grammar(how: Mapping[str, Any]) -> Lines:
    """Return the grammar of lines in the encoding that `detect` found."""
    encoding = how.get("encoding")
    if encoding == "ascii-compatible":
        return Lines()
    for mark, name in MARKS.items():
        if name == encoding:
            return Lines("\n".encode(name.removesuffix("-sig")), mark)
    raise FormatError(f"no text encoding is called {encoding!r}")


def shared(hows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the encoding in which all can be read: where one is marked as UTF-8, so are the chunks."""
    return MARKED if all(how in (MARKED, UNMARKED) for how in hows) else None


PARTITIONER = Stream("text", ("bytes", "records"), detect, grammar, shared=shared)
