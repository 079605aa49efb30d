"""Keeps pandas out of our own processes: the command line and the workers.

PyArrow imports pandas, which takes a quarter of a second, to check whether an object is from pandas. Setting it to None
in `sys.modules` does not work: PyArrow 26 uses that None as the module.
"""

import importlib.machinery
import sys
from types import ModuleType

_NAME = "pandas"


class _NoPandas:
    """Finds pandas, since Polars asks whether it is installed, but refuses to import it."""

    @classmethod
    def find_spec(cls, name: str, path: object = None, target: object = None) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(name, cls) if name == _NAME else None  # type: ignore[arg-type]

    @staticmethod
    def create_module(spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        raise ModuleNotFoundError(f"No module named {spec.name!r}", name=spec.name)

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        """Never called, but the import system requires it."""


def hide_pandas() -> None:
    """Make `import pandas` fail in this process, unless it was imported before."""
    if _NAME not in sys.modules:
        sys.meta_path.insert(0, _NoPandas)
