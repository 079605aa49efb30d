"""What the script `magnet-arrow` starts: the command line, found by its file and not by its name.

By its name (`magnet_arrow.cli`) Python would import the package first, with Polars and Arrow, before so much as a
help text can be shown. The commands import what they need.

Importing this is the first that the script does, so Ctrl-C and SIGTERM are seen to before anything else is imported:
while nothing has been done yet, and when all has been, they end the process at once.
"""

import _signal  # type: ignore[import-not-found]  # `signal` itself would take a while to import
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # `typing` itself would take a while to import
    from typing import Any


def _end_at_once(number: int, _: object) -> None:
    """End the process as `magnet_arrow.cli` says, without a traceback through whatever is being imported."""
    what = "Interrupted" if number == _signal.SIGINT else "Terminated"
    try:
        os.write(2, f"{what}. What was committed stays.\n".encode())
    finally:
        os._exit(128 + number)


try:
    for _number, _usual in ((_signal.SIGINT, _signal.default_int_handler), (_signal.SIGTERM, _signal.SIG_DFL)):
        if _signal.getsignal(_number) == _usual:  # else whoever started this wants them to be ignored
            _signal.signal(_number, _end_at_once)
except KeyboardInterrupt:
    _end_at_once(_signal.SIGINT, None)


def main() -> None:
    """Run the command line; it ends the process with its exit code."""
    if sys.argv[1:2] != ["predict"]:  # whose predictor may want it
        _by_file("no_pandas").hide_pandas()
    _by_file("cli").main()


def _by_file(name: str) -> "Any":
    """A module of the package, without the package."""
    import importlib.util
    from pathlib import Path

    package = importlib.util.find_spec("magnet_arrow")
    assert package
    assert package.origin
    spec = importlib.util.spec_from_file_location(f"magnet_arrow_{name}", Path(package.origin).with_name(f"{name}.py"))
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where typer looks up a command's annotations
    spec.loader.exec_module(module)
    return module
