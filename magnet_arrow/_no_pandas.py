"""Keeps pandas out of processes that are ours alone: the command line's and the workers'.

PyArrow imports pandas, in a quarter of a second, to see whether what it is given is an object of pandas. None in
`sys.modules` does not do: PyArrow 26 takes it for the module.
"""

import importlib.machinery
import sys
from types import ModuleType

_NAME = "pandas"


class _NoPandas:
    """Finds pandas, since Polars asks whether it can be found, but does not import it."""

    @classmethod
    def find_spec(cls, name: str, path: object = None, target: object = None) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(name, cls) if name == _NAME else None  # type: ignore[arg-type]

    @staticmethod
    def create_module(spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        raise ModuleNotFoundError(f"No module named {spec.name!r}", name=spec.name)

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        """Never called, but what `create_module` has to come with."""


def hide_pandas() -> None:
    """From now on this process has no pandas, unless it has been imported already."""
    if _NAME not in sys.modules:
        sys.meta_path.insert(0, _NoPandas)
