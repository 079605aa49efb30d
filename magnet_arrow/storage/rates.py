"""How fast the last large ingests into a cache were, apart for sources on this machine and in buckets.

The file may be lost without harm, so it is neither in the manifest nor flushed, and whatever else it holds is ignored.
"""

import contextlib
import os
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

Kind: TypeAlias = Literal["local", "bucket"]
FILE = "rates.json"
"""JSON bytes per second, by kind of source."""
NEW = "rates.new"
"""It is written under this name."""
MIN_BYTES, MIN_S = 10_000_000, 1.0
"""A smaller or shorter ingest measures little but its own beginning and end."""
_MAX_RATE = 1e15


def read_rates(cache: Path) -> dict[Kind, float]:
    """Bytes of JSON per second of the last ingest, by kind of source; none that was not measured."""
    try:
        found = msgspec.json.decode((cache / FILE).read_bytes(), type=dict[Kind, float])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return {}
    return {kind: rate for kind, rate in found.items() if 1 <= rate < _MAX_RATE}


def keep_rate(cache: Path, kind: Kind, size_bytes: int, seconds: float) -> None:
    """Keep the rate of an ingest, unless it was too small to tell."""
    if size_bytes < MIN_BYTES or seconds < MIN_S:
        return
    rates = read_rates(cache) | {kind: size_bytes / seconds}
    with contextlib.suppress(OSError):
        (cache / NEW).write_bytes(msgspec.json.encode(rates))
        os.replace(cache / NEW, cache / FILE)
