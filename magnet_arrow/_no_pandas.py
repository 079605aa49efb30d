"""Keeps packages that nothing here needs out of our own processes: the command line and the workers.

PyArrow imports pandas, which takes a quarter of a second, to check whether an object is from pandas. Setting it to None
in `sys.modules` does not work: PyArrow 26 uses that None as the module. NumPy, which it imports where it is installed,
takes as long as PyArrow itself; cloudpickle and its own clients of object stores take a fifth of that.
"""

import importlib.machinery
import sys
from types import ModuleType

_hidden: set[str] = set()


class _Hidden:
    """Finds these packages, since Polars asks whether they are installed, but refuses to import them."""

    @classmethod
    def find_spec(cls, name: str, path: object = None, target: object = None) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(name, cls) if name in _hidden else None  # type: ignore[arg-type]

    @staticmethod
    def create_module(spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        raise ModuleNotFoundError(f"No module named {spec.name!r}", name=spec.name)

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        """Never called, but the import system requires it."""


def hide_pandas() -> None:
    """Make `import pandas` fail in this process, unless it was imported before."""
    _hide("pandas")


def hide_unneeded() -> None:
    """Make the import of what a statement of SQL does without fail in this process."""
    for name in ("numpy", "cloudpickle", "pyarrow._azurefs", "pyarrow._gcsfs", "pyarrow._s3fs"):
        _hide(name)


def _hide(name: str) -> None:
    if name not in sys.modules:
        _hidden.add(name)
        if _Hidden not in sys.meta_path:
            sys.meta_path.insert(0, _Hidden)
