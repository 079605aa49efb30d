"""`os.stat` of files: the least that an ingest needs in order to see that nothing has changed."""

import os
from collections.abc import Iterator
from typing import Any

from dumps import files_of


def stat_files(outputs: str) -> Iterator[Any]:
    """Ask for the state of all files, whose paths are known."""
    files = files_of(outputs)
    paths = [path for of_one_name in files.values() for path in of_one_name]
    yield None
    for path in paths:
        os.stat(path)
    yield {"runs": len(files["run_spec"])}
