"""Checks what a caller asks for, before it reaches an expression."""

from collections.abc import Sequence

from magnet_arrow.errors import SettingError


def check_name(option: str, value: object, *, or_none: bool = False) -> None:
    """Raise unless a name is a string; None is one too where there may be no name.

    Raises:
        SettingError: it is something else.
    """
    if not (isinstance(value, str) or (or_none and value is None)):
        raise SettingError(f"{option}:", expected="a string" + or_none * " or None", found=repr(value))


def check_choice(option: str, value: object, choices: Sequence[str]) -> None:
    """Raise if a value is none of the choices.

    Raises:
        SettingError: it is none.
    """
    if value not in choices:
        raise SettingError.among(option, value, choices)
