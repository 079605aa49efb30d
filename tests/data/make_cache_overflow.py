"""Makes `cache_overflow`, a cache of format 3 whose first segment had room for one column found in the data.

Until commit bb81446 a segment had at most 1,024 such columns, and the values of the others stood in the residual. The
cache was written once, by the code of that commit: `PYTHONPATH=.:tests python tests/data/make_cache_overflow.py`.
"""

from pathlib import Path

from makesegment import commit_runs

from magnet_arrow.schema import registry

NAMES = ("m", "n", "o/~'\"p")


def main() -> None:
    """Write it."""
    cache = Path(__file__).parent / "cache_overflow"
    most = registry.MAX_DYNAMIC_COLUMNS
    registry.MAX_DYNAMIC_COLUMNS = 1
    commit_runs(cache, {"a": [dict(zip(NAMES, (1, 2, "x"), strict=True))], "b": [{"n": 4, "m": 3}, 5]})
    registry.MAX_DYNAMIC_COLUMNS = most
    commit_runs(cache, {"c": [dict(zip(NAMES, (6, 7, "y"), strict=True))]})


if __name__ == "__main__":
    main()
