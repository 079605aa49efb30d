"""Reports in Chromium: nothing that axe-core calls serious, no error on the console, nothing loaded from anywhere."""

import json
import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from magnet_arrow import HelmOutputs, evaluate, report
from magnet_arrow.evaluation import FactorResponse, ItemAdjustedMean
from magnet_arrow.examples.helm_lite import helm_lite

CHECK = Path(__file__).with_name("browser") / "check.mjs"
MODULES = ("axe-core", "puppeteer-core")
"""`npm install axe-core puppeteer-core` in a folder above, or in that of $NODE_PATH."""


def chromium() -> str:
    """The browser; the test is skipped where it or what drives it is missing."""
    node, found = shutil.which("node"), shutil.which("chromium") or shutil.which("chromium-browser")
    if node is None or found is None:
        pytest.skip("node and chromium are not installed")
    folders = [*(parent / "node_modules" for parent in CHECK.parents), *os.environ.get("NODE_PATH", "").split(":")]
    missing = [name for name in MODULES if not any(Path(folder, name).is_dir() for folder in folders if str(folder))]
    if missing:
        pytest.skip(f"npm packages {', '.join(missing)} are not installed")
    return found


@pytest.mark.slow
def test_reports_of_the_demo_and_of_an_evaluation_in_a_browser(demo_outputs: Path, tmp_path: Path) -> None:
    browser = chromium()
    found = evaluate([ItemAdjustedMean, FactorResponse], helm_lite("gsm"), budgets=[4, 16], draws=2)
    files = [
        report(HelmOutputs(demo_outputs, cache=tmp_path / "cache")).save(tmp_path / "demo.html"),
        found.report().save(tmp_path / "evaluation.html"),
    ]
    checked = subprocess.run(["node", CHECK, browser, *files], capture_output=True, text=True, check=True)
    looks = json.loads(checked.stdout)
    assert Counter((look["scheme"], look["width"]) for look in looks) == Counter(
        (scheme, width) for scheme in ("light", "dark") for width in (390, 1280) for _ in files
    )
    for look in looks:
        assert [fault for fault in look["faults"] if fault["impact"] in ("serious", "critical")] == []
        assert look["errors"] == []
        assert look["requests"] == []
        assert look["size"][0] == look["width"]  # only tables and charts scroll sideways
        assert look["styled"]  # the policy lets the page's own style in
