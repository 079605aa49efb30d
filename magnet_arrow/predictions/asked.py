"""Checks what a caller asks for, before it reaches an expression."""

from magnet_arrow.errors import SettingError


def check_name(option: str, value: object, *, or_none: bool = False) -> None:
    """Raise unless a name is a string; None is one too where there may be no name.

    Raises:
        SettingError: it is something else.
    """
    if not (isinstance(value, str) or (or_none and value is None)):
        raise SettingError(f"{option}:", expected="a string" + or_none * " or None", found=repr(value))
