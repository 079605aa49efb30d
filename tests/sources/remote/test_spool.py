"""Copies of objects: how much of them there is."""

from pathlib import Path

from magnet_arrow.sources import remote_copies
from magnet_arrow.sources.filesystem import as_path
from magnet_arrow.sources.remote.spool import Spool
from magnet_arrow.sources.stamps import PACKED, FileStamp

FOLDER = "gs://bucket/runs/v1/a:x"


def test_what_is_here_of_objects_is_counted_once_and_only_if_it_is_of_use(tmp_path: Path) -> None:
    copies = tmp_path / "fetched"
    stamps = [FileStamp(f"{number}.json", 100, 0, f"1 tag{PACKED if number > 3 else ''}") for number in range(7)]
    wanted = [(as_path(FOLDER), stamps), (tmp_path, [FileStamp("local.json", 100, 0)])]
    assert remote_copies.copied_bytes(copies, wanted) == 0
    copies.mkdir()
    sizes = {0: 100, 1: 40, 4: 170}  # 4 came unpacked
    begun = {1: 60, 2: 30, 3: 130, 5: 50}  # 1 is of a process that was killed; 3 has too much; 5 starts over
    for ending, of_copies in (("", sizes), (".part0", begun)):
        for number, size in of_copies.items():
            path = Spool(copies).copy_of(f"{FOLDER}/{number}.json", stamps[number]).path + ending
            Path(path).write_bytes(b"x" * size)
    assert remote_copies.copied_bytes(copies, wanted) == 100 + 60 + 30 + 100 + 100
    assert [remote_copies.is_packed(stamp) for stamp in stamps] == [False] * 4 + [True] * 3
