"""Keeps PyArrow from importing pandas, which takes longer than most ingests, before anybody uses it.

`pa.array` asks whether what it is given is an object of pandas, and imports pandas to find out. As long as nobody else
has imported it, the answer is no. So PyArrow is let look for pandas once, here, while it is not to be found; and it is
told as soon as pandas is imported, by whomever, so that it knows pandas' objects from then on.
"""

import contextlib
import importlib.machinery
import sys
import threading
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import pyarrow as pa

_PANDAS = "pandas"
_SHIM: Any = getattr(pa.lib, "_pandas_api", None)


class _Finder:
    """On `sys.meta_path` until pandas is imported."""

    def __init__(self) -> None:
        self._hidden_from: int | None = threading.get_ident()

    def show(self) -> None:
        self._hidden_from = None

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The specification of pandas, whose loader tells PyArrow when it is done; None for other modules."""
        if name != _PANDAS:
            return None
        if threading.get_ident() == self._hidden_from:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        others = (finder for finder in sys.meta_path if finder is not self)
        spec = next(filter(None, (finder.find_spec(name, path, target) for finder in others)), None)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            self._tell_when_loaded(spec.loader)
        return spec

    def _tell_when_loaded(self, loader: Any) -> None:
        load = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            del loader.exec_module
            if self in sys.meta_path:
                sys.meta_path.remove(self)
            load(module)
            with contextlib.suppress(ImportError):  # it is too old for PyArrow
                _ = _SHIM.compat  # a look at it makes PyArrow import pandas, though it did not find it before

        loader.exec_module = exec_module


def import_pandas_later() -> None:
    """Let PyArrow import pandas no sooner than others do, if it has not yet."""
    if _PANDAS in sys.modules or not hasattr(type(_SHIM), "have_pandas"):
        return
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        _ = _SHIM.have_pandas
    finally:
        finder.show()
