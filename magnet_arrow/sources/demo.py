"""The small dump behind `HelmOutputs.demo()`: nine runs that HELM itself made for this project.

Suite `my-suite` has two subjects of HELM's `mmlu` scenario, over questions written for this project, each put
to two invented models; suite `perturbed` has the same with misspellings and HELM's other perturbations.
"""

import hashlib
import io
import os
import re
import secrets
import tarfile
from importlib.resources import files
from pathlib import Path

from magnet_arrow import _durable
from magnet_arrow.errors import CacheNotWritableError

FOLDER = re.compile(r"demo-[0-9a-f]{12}")
"""The name of a folder that the demo was unpacked into: it is a copy of ours, and nobody's runs."""
# Windows has no ':' in a file name, and HELM's run folders have one.
_COLON = "-" if os.name == "nt" else ":"


def unpack(cache_dir: str | os.PathLike[str]) -> Path:
    """The demo's outputs folder (`benchmark_output`), below `cache_dir`; unpacked there the first time.

    The folder bears the archive's digest: another release's demo is beside it and stays, since a
    process of that release may be reading it. Several processes may do this at once.

    Raises:
        CacheNotWritableError: `cache_dir` cannot be written.
    """
    archive = files("magnet_arrow").joinpath("_demo.tar.xz").read_bytes()
    place = Path(cache_dir) / f"demo-{hashlib.sha256(archive).hexdigest()[:12]}"
    if not place.is_dir():
        try:
            _unpack_whole(archive, place)
        except OSError as err:
            raise CacheNotWritableError(
                f"The demo could not be unpacked into {os.fspath(cache_dir)}: {err.strerror or err}.",
                hint="Free some room, or name another folder by cache=, --cache or MAGNET_ARROW_CACHE_DIR.",
            ) from err
    return place / "benchmark_output"


def _unpack_whole(archive: bytes, place: Path) -> None:
    """Make `place` appear with all its files at once, or leave the one that another process made."""
    place.parent.mkdir(parents=True, exist_ok=True)
    _durable.remove_leftovers(place.parent, _LEFTOVER)
    try:
        with (
            _durable.replacing(place, lambda: f".demo-{secrets.token_hex(8)}") as folder,
            tarfile.open(fileobj=io.BytesIO(archive), mode="r:xz") as tar,
        ):
            tar.extractall(folder, filter=_renamed)
    except OSError:
        if not place.is_dir():
            raise


_LEFTOVER = re.compile(r"\.demo-[0-9a-f]{16}")


def _renamed(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo | None:
    return tarfile.data_filter(member.replace(name=member.name.replace(":", _COLON), deep=False), folder)
