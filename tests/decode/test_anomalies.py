"""What no column holds, in words: only what HELM itself does not write is worth one."""

from typing import Any

import pytest

from magnet_arrow.decode.anomalies import OTHER_TYPE, UNKNOWN, unexpected_fields
from magnet_arrow.decode.wire import DUPLICATES, TEXT_FORM
from magnet_arrow.helm import structs
from magnet_arrow.helm.declared_types import object_shape

STATE, STAT = object_shape(structs.RequestState), object_shape(structs.Stat)


@pytest.mark.parametrize(
    ("pointer", "value", "met"),
    [
        ("/new", 1, (UNKNOWN, "$[].new")),
        ("/instance/references/3/output/new~1", {}, (UNKNOWN, "$[].instance.references[].output.new/")),
        ("/result/completions/0", 7, (OTHER_TYPE, "$[].result.completions[]")),
        ("/request/top_p", "1", (OTHER_TYPE, "$[].request.top_p")),
        ("/request/top_p", 2**53 + 1, ("integer past 2^53, null in its column", "$[].request.top_p")),
        ("/num_train_instances", -(2**64), ("integer past 64 bits, null in its column", "$[].num_train_instances")),
        ("/num_train_instances", 0.5, (OTHER_TYPE, "$[].num_train_instances")),
        ("", 3, (OTHER_TYPE, "$[]")),
        ("", None, (OTHER_TYPE, "$[]")),
        ("", {}, None),
        ("/result/completions/0", None, (OTHER_TYPE, "$[].result.completions[]")),
        ("/instance/split", 5, (OTHER_TYPE, "$[].instance.split")),
        ("/instance/split", "\ud83d", None),
        ("/instance/id", 7, None),
        ("/request", {}, None),
        ("/request/top_p", None, None),
        ("/new", None, None),
        ("/output_mapping/A", 1, None),
        ("/instance/perturbation/own", 0.5, None),
        (TEXT_FORM, ["/instance/input"], None),
    ],
)
def test_what_a_residual_says(pointer: str, value: Any, met: tuple[str, str] | None) -> None:
    assert dict(unexpected_fields([{pointer: value}], STATE, "$[]")) == ({met: 1} if met else {})


def test_they_are_counted_whatever_the_index() -> None:
    residuals = [{"/name/new": 1, "/mean": "x"}, {}, {"/name/new": 2}]
    assert unexpected_fields(residuals, STAT) == {(UNKNOWN, "$.name.new"): 2, (OTHER_TYPE, "$.mean"): 1}


def test_a_key_that_stands_twice_is_counted_by_its_place() -> None:
    (met,) = unexpected_fields([{DUPLICATES: ["/name/name", "/name/name"]}], STAT)
    assert met[1] == "$.name.name"
