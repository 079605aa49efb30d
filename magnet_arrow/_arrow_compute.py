"""PyArrow's compute functions, imported at the first call: the import takes half as long as that of our package."""

from typing import Any


def __getattr__(name: str) -> Any:
    import pyarrow.compute

    value = globals()[name] = getattr(pyarrow.compute, name)
    return value
