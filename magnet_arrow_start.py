"""What the script `magnet-arrow` starts: the command line, found by its file and not by its name.

By its name (`magnet_arrow.cli`) Python would import the package first, with Polars and Arrow, before so much as a
help text can be shown. The commands import what they need.
"""

import importlib.util
import sys
from pathlib import Path


def main() -> None:
    """Run the command line; it ends the process with its exit code."""
    package = importlib.util.find_spec("magnet_arrow")
    assert package
    assert package.origin
    spec = importlib.util.spec_from_file_location("magnet_arrow_cli", Path(package.origin).with_name("cli.py"))
    assert spec
    assert spec.loader
    cli = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = cli  # where typer looks up a command's annotations
    spec.loader.exec_module(cli)
    cli.main()
