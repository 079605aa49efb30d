"""Escapes text from a dump for terminals and HTML. All text from a dump that is shown passes through here.

A run's name, a prompt or a completion may hold anything: escape sequences that move the cursor or set the clipboard,
marks that change the reading direction, or half a surrogate pair that no terminal can encode.
"""

import errno
import os
import re

_SHOWN_AS_THEY_ARE = frozenset("\u00a0\u3000\u200d\ufe0f")
"""Not printable according to Unicode, but harmless and common: two spaces, and the joiners in emoji."""


def for_terminal(text: str) -> str:
    r"""`text` on one line, with every character that could control a terminal escaped.

    Escaped are control characters (line ends too), escape sequences, marks that change the reading
    direction, lone surrogates, and unassigned code points. A backslash is not doubled, so that
    escaping twice changes nothing; the result is for reading, not for decoding.

    >>> print(for_terminal("red \x1b[31m\n"))
    red \x1b[31m\n
    """
    if text.isprintable():
        return text
    return "".join(map(_visible, text))


def for_html(text: str) -> str:
    """`text` escaped for HTML; quotes are escaped too, so that it can be an attribute.

    >>> for_html('<b title="x">')
    '&lt;b title=&quot;x&quot;&gt;'
    """
    import html  # of a short command it would be a hundredth

    return html.escape("".join(char if char in "\n\t" else _visible(char) for char in text))


def counted(count: int, one: str) -> str:
    """A number with its noun.

    >>> counted(1, "run"), counted(2000, "run")
    ('1 run', '2,000 runs')
    """
    return f"{count:,} {one}" if count == 1 else f"{count:,} {one}s"


def as_size(size_bytes: int) -> str:
    """A number of bytes with three digits and a unit; units are decimal, as everywhere: 1 MB is 1,000,000 bytes.

    >>> as_size(1), as_size(999), as_size(1234), as_size(999_999), as_size(120_400_000), as_size(2_100_000_000)
    ('1 byte', '999 bytes', '1.23 kB', '1 MB', '120 MB', '2.1 GB')
    """
    if size_bytes < 1000:
        return counted(size_bytes, "byte")
    size = float(f"{size_bytes:.3g}")
    power = min((len(str(int(size))) - 1) // 3, len(_UNITS))
    return f"{size / 1000**power:.10g} {_UNITS[power - 1]}"


_UNITS = ("kB", "MB", "GB", "TB", "PB")


def about(seconds: float) -> str:
    """A time as people say it, with a unit.

    >>> about(0.2), about(89), about(91), about(5_399), about(7_200), about(86_400 * 2)
    ('1 second', '89 seconds', '2 minutes', '90 minutes', '2 hours', '2 days')
    """
    fits = [one for one, size_s in _TIMES.items() if seconds >= 1.5 * size_s]
    unit = fits[-1] if fits else "second"
    return counted(max(1, round(seconds / _TIMES[unit])), unit)


_TIMES = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}


def of_system(error: OSError) -> str:
    """The system's own message of an error, without what a library added.

    >>> of_system(OSError(13, "Failed to open local file '/x'. Detail: [errno 13] Permission denied"))
    'Permission denied'
    """
    return os.strerror(error.errno) if error.errno else error.strerror or str(error)


def where_to_write(error: OSError, other: str) -> str:
    """A hint for a folder that cannot be written.

    Args:
        error: the system's error.
        other: how to name another folder; follows "name another folder".

    >>> where_to_write(PermissionError(13, "Permission denied"), "with --to")
    'You may not write there: ask for the right to, or name another folder with --to.'
    """
    match error.errno:
        case errno.EACCES | errno.EPERM:
            begin = "You may not write there: ask for the right to, or name"
        case errno.EROFS:
            begin = "Its file system is mounted for reading only: name"
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            begin = "Free some space, or name"
        case _:
            begin = "Name"
    return f"{begin} another folder {other}."


def as_options(hint: str) -> str:
    """A hint, or the message of a wrong setting, rewritten with options for users of a shell.

    Only whole words are replaced: a run's name, or a path with one, stays as it is.

    >>> as_options("Read it again with retry=True, or with workers=1.")
    'Read it again with --retry, or with --workers 1.'
    >>> as_options("Name a metric: metric='exact_match'.")
    'Name a metric: --metric exact_match.'
    >>> as_options("Or rank win rates: rank(win_rates(…)).")
    'Or rank win rates: --win-rates.'
    >>> as_options("Use remote_settings(region='eu-central-1').")
    'Use --region eu-central-1.'
    >>> as_options("folds:")
    '--folds:'
    >>> as_options("Did you mean runs/v1/toy:partial=True,n=2?")
    'Did you mean runs/v1/toy:partial=True,n=2?'
    """
    for in_python, in_a_shell in _CALLS.items():
        hint = hint.replace(in_python, in_a_shell)
    hint = _REMOTE_SETTING.sub(r"--\1 \2", hint)
    hint = _SETTING.sub(lambda found: f"--{found[1]}:", hint)
    return _DRAW_ARGUMENT.sub(lambda found: _DRAW_OPTIONS[found[0]], _ARGUMENT.sub(_option, hint))


_ARGUMENT = re.compile(
    r"(?<!\S)(retry|partial|strict|pictures|workers|include_partial|skip_damaged|skip_unreadable|metric|items|repeats|"
    r"threshold|target|folds|families|budgets|level)=(True|\d+(?:\.\d+)?|'[\w.]+')(?=[\s.,:;]|$)"
)
_CALLS = {
    "rank(win_rates(…))": "--win-rates",
    "panel(…, repeats='mean')": "`magnet-arrow panel … --repeats mean`",
}
_REMOTE_SETTING = re.compile(r"remote_settings\((endpoint|region|profile)='([\w-]+)'\)")
_SETTING = re.compile(
    r"^(target|repeats|folds|budgets|level|over|draws|seed|families|timeout|items|split|threshold|"
    r"endpoint|region|profile|retries|connections)(?:_s)?:"
)
_DRAW_OPTIONS = {"num_example_runs": "--examples", "num_eval_samples": "--samples", "random_seed": "--seed"}
_DRAW_ARGUMENT = re.compile(rf"(?<!\S)({'|'.join(_DRAW_OPTIONS)})(?=[\s.,:;]|$)")


def _option(argument: re.Match[str]) -> str:
    name, value = argument.groups()
    return "--" + name.replace("_", "-") + ("" if value == "True" else " " + value.strip("'"))


def _visible(char: str) -> str:
    if char.isprintable() or char in _SHOWN_AS_THEY_ARE:
        return char
    return char.encode("unicode_escape").decode("ascii")
