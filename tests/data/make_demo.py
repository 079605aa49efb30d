"""Pack a dump into the archive that the package ships: `python make_demo.py BENCHMARK_OUTPUT [ARCHIVE]`.

The same files give the same bytes: members are sorted and carry no owner and no time. The dump itself was
made by HELM 0.5.16 (its `mmlu` scenario over questions written for this project, two invented models).
"""

import io
import lzma
import sys
import tarfile
from pathlib import Path

ARCHIVE = Path(__file__).parents[2] / "magnet_arrow" / "_demo.tar.xz"


def pack(outputs: Path) -> bytes:
    """The archive's bytes; every file below `outputs` under `benchmark_output/`."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for file in sorted(path for path in outputs.rglob("*") if path.is_file()):
            content = file.read_bytes()
            member = tarfile.TarInfo(f"benchmark_output/{file.relative_to(outputs).as_posix()}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return lzma.compress(raw.getvalue(), preset=9 | lzma.PRESET_EXTREME)


if __name__ == "__main__":
    outputs, archive = Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else ARCHIVE
    print(f"{archive}: {archive.write_bytes(pack(outputs)):,} bytes")
