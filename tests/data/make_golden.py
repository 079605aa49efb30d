"""Writes `golden/`: what MAGNET 0.1.0 itself gave on the demo, out of the files beside the larger dumps.

    python tests/data/make_golden.py ../shared/data

`magnet_golden.json` keeps the two suites of the demo (that of the real dump is read where that dump is),
`notebook_columns.json` is complete. Read the diff before you commit it.
"""

import json
import sys
from pathlib import Path

GOLDEN = Path(__file__).parent / "golden"


def main(shared: Path) -> None:
    golden = json.loads((shared / "magnet_golden.json").read_bytes())
    suites = {name: suite for name, suite in golden.items() if name.startswith("demo ")}
    columns = json.loads((shared / "notebook_columns.json").read_bytes())
    GOLDEN.mkdir(exist_ok=True)
    for name, value in {"magnet_golden.json": suites, "notebook_columns.json": columns}.items():
        (GOLDEN / name).write_text(json.dumps(value, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
