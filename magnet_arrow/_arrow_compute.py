"""PyArrow's compute functions, imported at the first call: the import takes half as long as that of our package."""

from typing import Any


def __getattr__(name: str) -> Any:
    import pyarrow.compute

    value = globals()[name] = getattr(pyarrow.compute, name)
    return value


def largest(numbers: Any) -> int | None:
    """The largest of an array of numbers; None if there is none.

    It needs the kernels, but not the module `pyarrow.compute`, which makes a Python function for each of them: that
    takes as long as reading the columns of a short query.
    """
    from pyarrow._compute import call_function

    found: int | None = call_function("max", [numbers]).as_py()
    return found
