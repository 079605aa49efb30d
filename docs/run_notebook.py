"""Runs a notebook and keeps what its cells show.

    pip install -e '.[stats]' nbclient ipykernel
    python docs/run_notebook.py magnet_arrow/examples/dump_to_ranking.ipynb

`tests/test_examples.py` fails while a notebook shows anything else than its cells do.
"""

import sys
from pathlib import Path

import nbclient
import nbformat


def main() -> None:
    """Run the notebooks that the command line names, and write them."""
    for path in map(Path, sys.argv[1:]):
        notebook = nbformat.read(path, as_version=4)
        # Times and the version of Python would change with every run.
        nbclient.NotebookClient(notebook, kernel_name="python3", record_timing=False).execute()
        notebook.metadata.language_info = {"name": "python"}
        nbformat.write(notebook, path)


if __name__ == "__main__":
    main()
