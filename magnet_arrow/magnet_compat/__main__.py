"""`python -m magnet_arrow.magnet_compat SCRIPT.py …` runs a script that imports `magnet`."""

import runpy
import sys
from pathlib import Path

from magnet_arrow.magnet_compat.modules import install


def main() -> None:
    """Run the script with the remaining arguments, as `python SCRIPT.py …` would."""
    if len(sys.argv) < 2:
        raise SystemExit("Usage: python -m magnet_arrow.magnet_compat SCRIPT.py [ARGUMENT]...")
    install()
    script = sys.argv[1]
    del sys.argv[0]
    sys.path[0] = str(Path(script).resolve().parent)
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
