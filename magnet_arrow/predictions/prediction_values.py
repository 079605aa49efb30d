"""Checks of the values of a prediction, and the numbers that every kind of prediction has."""

import math
import numbers
from types import UnionType
from typing import Any

from magnet_arrow.errors import PredictionError

MOMENTS = ("count", "sum", "sum_squared", "min", "max", "mean", "variance", "stddev")


def set_moments(prediction: Any) -> None:
    """Check the numbers of a frozen prediction, and fill in `sum_squared` where only a sum is given.

    Raises:
        PredictionError: one has a wrong type, or is an integer of more than 64 bits; or the mean is NaN or infinite.
    """
    checked("count", prediction.count, numbers.Integral, "an integer")
    checked("mean", prediction.mean, numbers.Real, "a number")
    for name in MOMENTS:
        object.__setattr__(prediction, name, number(name, getattr(prediction, name)))
    if not math.isfinite(prediction.mean):
        raise wrong("mean", prediction.mean, "a finite number")
    require_64_bits("count", prediction.count)
    if prediction.sum is not None and prediction.sum_squared is None:
        object.__setattr__(prediction, "sum_squared", _squared(prediction.sum))


def require_64_bits(name: str, value: Any) -> None:
    """Raise if an integer is too large for a column."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise wrong(name, value, "an integer of 64 bits")


def number(name: str, value: Any) -> Any:
    """`value` as a Python int or float; None stays None."""
    checked(name, value, numbers.Real | None, "a number or None")
    if value is None:
        return None
    try:
        plain = int(value) if isinstance(value, numbers.Integral) else float(value)
        float(plain)
    except (OverflowError, ValueError, TypeError) as error:
        raise wrong(name, value, "a number that a float can hold") from error
    return plain


def _squared(number: float) -> float:
    square = number * number
    try:
        float(square)
    except OverflowError:  # an integer; for a float the square is infinity
        return math.inf
    return square


def checked(name: str, value: Any, kind: type | UnionType, expected: str) -> Any:
    """`value`, if it is of this kind and a column can hold it.

    Raises:
        PredictionError: it is not, or is text that UTF-8 cannot encode.
    """
    if not isinstance(value, kind):
        raise wrong(name, value, expected)
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise wrong(name, value, "a string that UTF-8 can encode") from error
    return value


def wrong(name: str, value: Any, expected: str) -> PredictionError:
    """The error for a value that is wrong."""
    return PredictionError(f"{name} of a prediction is wrong:", expected=expected, found=shown(value))


def shown(value: Any) -> str:
    """`value` as a message shows it, shortened."""
    try:
        return f"{value!r:.80}"
    except Exception:  # an integer with more digits than Python prints, for example
        return f"a {type(value).__name__} that cannot be shown"
