"""Writes the package's main_metrics.csv: main metric and split of HELM's scenario classes.

    python tests/data/make_main_metrics.py UNPACKED_HELM magnet_arrow/predictions/main_metrics.csv

UNPACKED_HELM is the folder that holds HELM's package `helm`, such as crfm_helm-0.5.16-py3-none-any.whl unzipped. HELM
is read, not imported. What counts is the `get_metadata` of a class; one that has several main metrics, or whose main
metric is no literal, is left out.
"""

import ast
import csv
import sys
from collections.abc import Iterator
from pathlib import Path


def classes(package: Path) -> Iterator[tuple[str, str, str, str]]:
    """Class, metric, split and file of each scenario class that has one main metric."""
    for file in sorted(package.rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        if "main_metric" in text:
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.ClassDef) and len(found := main_metrics(node)) == 1:
                    yield node.name, *found.pop(), file.relative_to(package).as_posix()


def main_metrics(scenario: ast.ClassDef) -> set[tuple[str, str]]:
    """The pairs of `main_metric` and `main_split` that calls in `get_metadata` are given."""
    methods = (node for node in scenario.body if isinstance(node, ast.FunctionDef) and node.name == "get_metadata")
    calls = (node for method in methods for node in ast.walk(method) if isinstance(node, ast.Call))
    given = ({keyword.arg: keyword.value for keyword in call.keywords} for call in calls)
    pairs = [(keywords.get("main_metric"), keywords.get("main_split")) for keywords in given]
    return {
        (metric.value, split.value)
        for metric, split in pairs
        if isinstance(metric, ast.Constant) and isinstance(split, ast.Constant) and metric.value != "unknown"
    }


def main() -> None:
    helm, target = map(Path, sys.argv[1:])
    with target.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["scenario_class", "metric", "split", "source"])
        rows.writerows(sorted(classes(helm / "helm/benchmark")))


if __name__ == "__main__":
    main()
