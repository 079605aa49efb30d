import os
from pathlib import Path

import pytest

from magnet_arrow.errors import FileNotReplacedError, FolderNotWritableError
from magnet_arrow.pages import Page, Report
from magnet_arrow.pages.report import check_file


def report(title: str) -> Report:
    return Report(Page(title, "", []).html())


def test_a_report_replaces_a_report_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    assert report("one").save(file) == file
    report("two").save(str(file))
    assert file.read_bytes() == report("two").html.encode()
    notes = tmp_path / "notes.html"
    notes.write_text("<p>Mine.</p>")
    with pytest.raises(FileNotReplacedError, match="Name another file"):
        report("three").save(notes)
    assert notes.read_text() == "<p>Mine.</p>"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.html", "report.html"]


def test_the_name_of_a_folder_is_no_name_for_a_report(tmp_path: Path) -> None:
    with pytest.raises(FolderNotWritableError, match="Name another folder for the report"):
        check_file(tmp_path)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FolderNotWritableError, match="No such file"):
        report("one").save(tmp_path / "no" / "report.html")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
def test_a_pipe_or_device_is_not_replaced(tmp_path: Path) -> None:
    place = tmp_path / "pipe"
    os.mkfifo(place)
    with pytest.raises(FolderNotWritableError, match="no file"):
        report("one").save(place)
    assert place.is_fifo()


def test_a_notebook_shows_it_in_a_frame_that_runs_nothing() -> None:
    shown = report('"quoted"')._repr_html_()
    assert shown.startswith("<iframe sandbox ")
    assert "<h1>" not in shown
    assert "&lt;h1&gt;&amp;quot;quoted&amp;quot;&lt;/h1&gt;" in shown
    assert len(repr(report("one"))) < 20
