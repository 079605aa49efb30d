"""PyArrow's compute functions, imported with the first that is called: that takes half as long as our modules."""

from typing import Any


def __getattr__(name: str) -> Any:
    import pyarrow.compute

    value = globals()[name] = getattr(pyarrow.compute, name)
    return value
