"""A report: a page that is shown in a notebook and saved as a file."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from magnet_arrow import _durable
from magnet_arrow._text import for_html
from magnet_arrow.errors import FileNotReplacedError, FolderNotWritableError
from magnet_arrow.pages.page import GENERATOR

_BEGIN_BYTES = 4096
_OTHER = "for the report"


@dataclass(frozen=True, slots=True)
class Report:
    """A page of HTML that is complete in itself.

    Attributes:
        html: the page. It loads nothing from elsewhere, and forbids scripts.
    """

    html: str = field(repr=False)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the page to a file, which is complete or not there; returns its path.

        A report that is there already is replaced, any other file is not.

        Raises:
            FileNotReplacedError: the file is there, and is no report.
            FolderNotWritableError: it cannot be written.
        """
        path = Path(path)
        check_file(path)
        try:
            with _durable.replacing_file(path) as file:
                file.write(self.html.encode())
        except OSError as error:
            raise FolderNotWritableError.of(path, error, _OTHER) from error
        return path

    def _repr_html_(self) -> str:
        """The page in a frame of its own, so that its style stays inside."""
        style = "width:100%;height:80vh;border:1px solid rgba(128,128,128,.45);border-radius:6px"
        return f'<iframe sandbox title="Report" style="{style}" srcdoc="{for_html(self.html)}"></iframe>'


def check_file(path: Path) -> None:
    """Check that a report may be written to this file.

    Raises:
        FileNotReplacedError: the file is there, and is no report.
        FolderNotWritableError: it is a folder, or cannot be read.
    """
    try:
        begin = _durable.begin_of(path, _BEGIN_BYTES)
    except OSError as error:
        raise FolderNotWritableError.of(path, error, _OTHER) from error
    if begin and GENERATOR.encode() not in begin:
        raise FileNotReplacedError(
            f"{path} is there already, and is no report.", hint="Name another file, or remove this one first."
        )
