"""Names of chunks: stem of the source, number, suffix; of safe characters only."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

COMPRESSED = (".gz", ".bgz", ".bgzf")


def stem_and_suffix(uri: str, default: str) -> tuple[str, str]:
    """Return the stem of a source's name and its suffix under any compression; *default* where it has none.

    >>> stem_and_suffix("s3://b/run 1/reads.v2.fq.gz", ".fastq")
    ('reads.v2', '.fq')
    """
    name = PurePosixPath(uri.rpartition("/")[2])
    if name.suffix.lower() in COMPRESSED:
        name = name.with_suffix("")
    suffix = name.suffix if re.fullmatch(r"\.[A-Za-z0-9_]+", name.suffix) else default
    return safe(name.stem if name.suffix else name.name), suffix


def safe(stem: str) -> str:
    """Replace what is not a letter, digit, '.', '_' or '-'; never empty, never hidden.

    >>> safe("läufe #3"), safe("..")
    ('l_ufe__3', 'chunk')
    """
    return re.sub(r"[^A-Za-z0-9._-]", "_", stem).lstrip(".") or "chunk"


def numbered(stem: str, number: int, of: int) -> str:
    """Return the stem with the chunk's number, padded to at least five digits so that names sort.

    >>> numbered("reads", 3, 64)
    'reads-00003'
    """
    return f"{stem}-{number:0{max(5, len(str(of - 1)))}d}"
