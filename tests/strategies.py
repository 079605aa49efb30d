"""What Hypothesis knows of runs: every shape that HELM can write, odd values included.

Values are plain JSON values, written by `makedump.write_run`. `strict` leaves out what Python's `json` writes
and reads but no JSON standard knows: NaN, the infinities, lone surrogates.
"""

from typing import Any

from hypothesis import strategies as st
from makedump import Run, instance_stats, make_run, stat

EDGES = (0, -1, 2**31, 2**53 - 1, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 2**63, 2**64, 10**30)
ODD_KEYS = ("", ".", "a.b", "a", "b", "A", " ", '"', "\\", '"a.b"', "é.ü", "name", "text", "magnet.run", "\n")
ODD_TEXTS = ("", "null", "true", "1", "1.0", "NaN", '"', "\x00", "\n", "\u2028", "é", "日本", "🦉", "[/bold]")


def texts(*, strict: bool = True) -> st.SearchStrategy[str]:
    """Texts with any letter; lone surrogates where not strict."""
    letters = st.characters(codec="utf-8") if strict else st.characters()
    return st.sampled_from(ODD_TEXTS) | st.text(letters, max_size=8)


def keys(*, strict: bool = True) -> st.SearchStrategy[str]:
    """Keys that hold dots, quotes or nothing among them."""
    return st.sampled_from(ODD_KEYS) | texts(strict=strict)


def floats(*, strict: bool = True) -> st.SearchStrategy[float]:
    """Doubles, -0.0 and whole numbers among them; NaN and the infinities where not strict."""
    return st.sampled_from((-0.0, 1.0, 0.1, 1e16, 5e-324, 1.7e308)) | st.floats(
        allow_nan=not strict, allow_infinity=not strict
    )


def integers() -> st.SearchStrategy[int]:
    """Integers of any size, those around 2^53 and 2^63 often."""
    return st.sampled_from(EDGES) | st.integers()


def scalars(*, strict: bool = True) -> st.SearchStrategy[Any]:
    """Any JSON value that holds no other."""
    return st.none() | st.booleans() | integers() | floats(strict=strict) | texts(strict=strict)


def json_values(*, strict: bool = True) -> st.SearchStrategy[Any]:
    """Any JSON value, five levels deep and more."""
    return st.recursive(
        scalars(strict=strict),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys(strict=strict), inner, max_size=3),
        max_leaves=8,
    )


def free_objects(*, strict: bool = True) -> st.SearchStrategy[dict[str, Any]]:
    """A free-form object; also one that goes on below the level to which it is flattened."""
    flat = st.dictionaries(keys(strict=strict), json_values(strict=strict), max_size=4)
    deep = json_values(strict=strict).map(lambda value: {"a": {"b": {"c": {"d": value}}}})
    return flat | deep


def perturbations() -> st.SearchStrategy[dict[str, Any]]:
    """A perturbation with some of its base fields and some parameters, known and unknown."""
    return st.fixed_dictionaries(
        {"name": st.sampled_from(("typos", "space", "made")), "robustness": st.booleans()},
        optional={
            "computed_on": st.sampled_from(("original", "perturbed", "worst")),
            "fairness": st.booleans(),
            "seed": st.integers(0, 2**31),
            "prob": st.sampled_from((0, 1, 0.1)),
            "own_strength": st.sampled_from((0, 1, 0.5, "low", True)),
        },
    )


def numbers() -> st.SearchStrategy[float]:
    """What HELM writes into a float field: an integer token often stands for a float."""
    return st.integers(-(2**53), 2**53) | floats()


@st.composite
def stats(draw: st.DrawFn) -> dict[str, Any]:
    """A stat; one of count 0 has neither min, max nor mean."""
    made = stat(draw(texts()), 0.0, draw(st.none() | perturbations()))
    if draw(st.booleans()):
        return {"name": made["name"], "count": 0, "sum": 0, "sum_squared": 0}
    fields = ("sum", "sum_squared", "min", "max", "mean", "variance", "stddev")
    return made | {"count": draw(st.integers(0, 2**40))} | {field: draw(numbers()) for field in fields}


@st.composite
def runs(draw: st.DrawFn, name: str, *, strict: bool = True) -> Run:
    """A whole run of this name: none to four request states, odd values wherever HELM lets them in."""
    run = make_run(name, args=draw(free_objects(strict=strict)), n_instances=draw(st.integers(0, 4)))
    if draw(st.booleans()):
        args = draw(free_objects(strict=strict))
        run["run_spec"]["annotators"] = [{"class_name": "made.Judge", "args": args}]
        run["scenario_state"]["annotator_specs"] = run["run_spec"]["annotators"]
    run["run_spec"]["groups"] = draw(st.lists(texts(strict=strict), max_size=2))
    for state in run["scenario_state"]["request_states"]:
        draw_state(draw, state, strict=strict)
    run["stats"] = draw(st.lists(stats(), max_size=3))
    run["per_instance_stats"] = draw(st.lists(entries(), max_size=4))
    return run


def draw_state(draw: st.DrawFn, state: dict[str, Any], *, strict: bool) -> None:
    """Fills in what a request state may or may not have."""
    optional = {
        "extra_data": st.none() | free_objects(strict=strict),
        "perturbation": perturbations(),
        "sub_split": texts(strict=strict),
        "id": st.integers(-5, 2**40) | texts(strict=strict),
        "contrast_inputs": st.lists(texts(strict=strict).map(lambda text: {"text": text}), max_size=2),
        "references": st.just([]),
    }
    state["instance"] |= draw(st.fixed_dictionaries({}, optional=optional))
    message = st.dictionaries(keys(strict=strict), json_values(strict=strict), max_size=2)
    asked = {"messages": st.lists(message, max_size=2), "temperature": numbers()}
    state["request"] |= draw(st.fixed_dictionaries({}, optional=asked))
    outer = {
        "annotations": free_objects(strict=strict),
        "output_mapping": st.dictionaries(st.sampled_from("ABC"), texts(strict=strict)),
        "reference_index": st.integers(0, 5),
    }
    state |= draw(st.fixed_dictionaries({}, optional=outer))
    shape = draw(st.sampled_from(("whole", "no result", "no completions", "an embedding")))
    if shape == "no result":
        del state["result"]
    elif shape == "no completions":
        state["result"]["completions"] = []
    elif shape == "an embedding":
        state["result"]["embedding"] = draw(st.lists(numbers(), max_size=3))
    else:
        state["result"]["completions"][0] |= {"text": draw(texts(strict=strict)), "logprob": draw(numbers())}


@st.composite
def entries(draw: st.DrawFn) -> dict[str, Any]:
    """An instance's stats, often none."""
    made = instance_stats(draw(texts()), 0, draw(st.none() | perturbations()))
    return made | {"stats": draw(st.lists(stats(), max_size=3)), "train_trial_index": draw(st.integers(0, 3))}


TERMINAL_TEXTS = st.text(max_size=60) | st.sampled_from(
    ["日本語" * 12, "👨‍👩‍👧" * 20, "e\u0301" * 50, "1234567890.5", "", "a\x1b[2J" * 9]
)
"""Texts that are hard to lay out: wide characters, marks of their own, escape sequences, numbers."""
