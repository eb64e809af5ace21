"""Gzip: what is inside a compressed file, and how to decode a part of it. Nothing here knows of records."""
