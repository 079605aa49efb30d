"""Patterns of names: of runs, versions and benchmarks. One way to choose by name, wherever names are chosen."""

import re
from collections.abc import Collection
from fnmatch import fnmatchcase

from magnet_arrow.errors import SettingError

_REGEX = "regex:"


def matching(names: Collection[str], pattern: str) -> set[str]:
    """The names that a pattern chooses.

    A pattern is a name, a glob, `regex:` with a regular expression that fits the whole name, or several of these with
    `|` between them. A name is taken literally if it is there. All that follows `regex:` is one expression.

    >>> sorted(matching({"v1.0.0", "v1.1.0", "v2.0.0"}, "v2.0.0|v1.0.*"))
    ['v1.0.0', 'v2.0.0']
    >>> sorted(matching({"gsm8k", "mmlu", "legalbench"}, "regex:mmlu|gsm.*"))
    ['gsm8k', 'mmlu']

    Raises:
        SettingError: the regular expression is none.
    """
    if pattern in names:
        return {pattern}
    globs, _, regex = pattern.partition(_REGEX)
    if regex and globs and not globs.endswith("|"):
        globs, regex = pattern, ""
    found = {name for name in names if regex and _compiled(regex).fullmatch(name)}
    alternatives = globs.rstrip("|").split("|") if globs else []
    for one in alternatives:
        found |= {one} if one in names else {name for name in names if fnmatchcase(name, one)}
    return found


def fits(name: str, pattern: str) -> bool:
    """Whether a pattern chooses this name, if there is no other."""
    return bool(matching({name}, pattern))


def _compiled(regex: str) -> re.Pattern[str]:
    try:
        return re.compile(regex)
    except re.error as error:
        raise SettingError(f"{regex!r} is no regular expression: {error}.") from error
