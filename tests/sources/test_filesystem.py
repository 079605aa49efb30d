"""Only `sources` looks at a dump's folders and files, so that a dump may be on another kind of storage some day."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import magnet_arrow
from magnet_arrow.sources import filesystem

PACKAGE = Path(magnet_arrow.__file__).parent
STAGES = ("helm", "decode", "records", "ingestion", "checks", "runs")
MODULES = [
    *(
        path
        for stage in ("helm", "decode", "records", "ingestion", "checks", "runs")
        for path in PACKAGE.glob(f"{stage}/**/*.py")
    ),
    *(
        PACKAGE / name
        for name in ("outputs.py", "data_splits.py", "predictor.py", "storage/source_ids.py", "predictions/metrics.py")
    ),
]
OF_OS = {"open", "stat", "lstat", "fstat", "scandir", "listdir", "readlink", "walk", "fwalk", "read", "readv", "access"}
OF_OS_PATH = {
    "exists",
    "lexists",
    "isdir",
    "isfile",
    "islink",
    "ismount",
    "realpath",
    "samefile",
    "getsize",
    "getmtime",
}
OF_PATH = {"open", "stat", "lstat", "exists", "is_dir", "is_file", "is_symlink", "iterdir", "glob", "rglob", "walk"}
OF_PATH |= {"read_bytes", "read_text", "resolve", "readlink", "samefile"}
ALLOWED = {"filesystem", "entry", "self._context"}
"""An entry comes from `filesystem.entries`; a reader's context reads by `sources.file`."""


def looks(code: str) -> Iterator[str]:
    """Calls by which code looks at folders and files itself."""
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        owner, _, name = called.rpartition(".")
        forbidden = {"os": OF_OS, "os.path": OF_OS_PATH, "glob": {"glob", "iglob"}, "": {"open"}}.get(owner, OF_PATH)
        is_ours = owner in ALLOWED or owner.startswith("resources.") or (owner == "self" and name == "exists")
        if name in forbidden and not is_ours:
            yield f"{called}, line {node.lineno}"


def test_the_search_finds_what_it_looks_for() -> None:
    code = "open(a)\nos.stat(a)\nos.path.isdir(a)\nPath(a).read_bytes()\nos.path.join(a, b)\nfilesystem.names(a)\n"
    assert list(looks(code)) == [
        "open, line 1",
        "os.stat, line 2",
        "os.path.isdir, line 3",
        "Path(a).read_bytes, line 4",
    ]


def test_no_stage_looks_at_a_dump_itself() -> None:
    assert len(MODULES) > 40
    found = {str(path.relative_to(PACKAGE)): calls for path in MODULES if (calls := list(looks(path.read_text())))}
    assert found == {}


def test_what_is_there_is_told_from_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abcdef")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "nowhere").symlink_to("none")
    assert [filesystem.exists(tmp_path / name) for name in ("file", "link", "nowhere")] == [True, True, False]
    assert [filesystem.is_there(tmp_path / name) for name in ("link", "nowhere", "none")] == [True, True, False]
    assert filesystem.link_target(tmp_path / "link") == "file"
    assert filesystem.real_path(tmp_path / "link") == str(tmp_path.resolve() / "file")
    assert filesystem.status(tmp_path / "link").st_size == 6
    assert (filesystem.first_bytes(tmp_path / "link", 3), filesystem.read_bytes(tmp_path / "file")) == (
        b"abc",
        b"abcdef",
    )


def test_a_folder_that_is_not_there_cannot_be_listed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    filesystem.require_listing(tmp_path)
    assert filesystem.names(tmp_path) == [entry.name for entry in filesystem.entries(tmp_path)] == ["file"]
    assert filesystem.matches("f*", tmp_path) == ["file"]
    for look in (filesystem.require_listing, filesystem.names, filesystem.entries):
        with pytest.raises(FileNotFoundError):
            look(tmp_path / "none")
