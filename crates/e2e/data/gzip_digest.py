"""Prints the SHA-256 of what a gzip file holds, as Python's own reader unpacks it."""

import gzip
import hashlib
import sys

digest = hashlib.sha256()
with gzip.open(sys.argv[1]) as archive:
    for chunk in iter(lambda: archive.read(1 << 20), b""):
        digest.update(chunk)
print(digest.hexdigest())
