"""Write the registered columns of schema version 1, by which caches are read whose run lists do not name theirs.

Run in the project's folder: `PYTHONPATH=. python tests/data/make_columns_v1.py`. To be run by the code of schema
version 1, and never again: a later version writes what its columns are into the cache itself.
"""

import json
from pathlib import Path

from magnet_arrow.schema import registry

FILE = Path(registry.__file__).parents[1] / "storage" / "segments" / "columns_v1.json"


def columns() -> dict[str, dict[str, list[str]]]:
    """By table: names in order, and the paths of texts that are JSON."""
    return {
        table.name: {"columns": table.names, "json_text": [path for one in table.columns for path in one.json_text]}
        for table in registry.TABLES.values()
    }


if __name__ == "__main__":
    assert registry.SCHEMA_VERSION == 1, "these are to be the columns of schema version 1"
    FILE.write_text(json.dumps(columns(), indent=1) + "\n", encoding="utf-8")
