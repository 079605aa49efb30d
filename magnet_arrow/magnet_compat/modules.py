"""Registers modules under MAGNET's names in `sys.modules`."""

import importlib
import sys
from types import ModuleType

from magnet_arrow._optional import optional_module
from magnet_arrow.errors import RealMagnetError

_PACKAGE = __name__.rpartition(".")[0]
_MARK = "__magnet_arrow__"
_MODULES = {
    "magnet.predictor": "predictor",
    "magnet.instance_predictor": "instance_predictor",
    "magnet.data_splits": "data_splits",
    "magnet.helm_outputs": "outputs",
    "magnet.backends.helm.helm_outputs": "outputs",
}
"""MAGNET's modules, and the modules of this folder that stand for them."""
_PARENTS = ("magnet", "magnet.backends", "magnet.backends.helm")
_VERSION = "0.1.0"


def install() -> None:
    """Make `import magnet` and its modules mean those of this folder. A second call changes nothing.

    Raises:
        RealMagnetError: aiq-magnet's own `magnet` was imported before.
        MissingPackageError: pandas is not installed.
    """
    there = sys.modules.get("magnet")
    if hasattr(there, _MARK):
        return
    if there is not None:
        raise RealMagnetError(
            f"`magnet` is already imported, from {getattr(there, '__file__', None) or 'elsewhere'}.",
            hint="Import magnet_arrow.magnet_compat before anything that imports magnet.",
        )
    optional_module("pandas", "magnet_arrow.magnet_compat needs pandas for its frames.", extra="pandas")
    modules = {name: _parent(name) for name in _PARENTS}
    modules |= {name: importlib.import_module(f"{_PACKAGE}.{ours}") for name, ours in _MODULES.items()}
    for name, module in modules.items():
        above, _, last = name.rpartition(".")
        if above:
            setattr(modules[above], last, module)
    modules["magnet"].HelmOutputs = modules["magnet.helm_outputs"].HelmOutputs  # type: ignore[attr-defined]
    modules["magnet"].__version__ = _VERSION  # type: ignore[attr-defined]
    sys.modules.update(modules)


def _parent(name: str) -> ModuleType:
    """A package that has no module but those that are registered."""
    module = ModuleType(name, f"`{name}` of aiq-magnet {_VERSION}, as {_PACKAGE} provides it.")
    module.__path__ = []
    setattr(module, _MARK, True)
    return module
