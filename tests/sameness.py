"""Whether a rebuilt JSON value is what the source said: plain Python, nothing of magnet_arrow imported.

Stricter than `verify` may be: a missing key and a null are two things everywhere. Only the kind of a number is free,
and only where HELM declares a number; in free-form values `1`, `1.0`, `true` and `"1"` are four things.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from reference import FLOATS

INTEGERS = {
    *("count", "train_trial_index", "reference_index", "num_outputs", "num_train_trials", "num_trials"),
    *("max_train_instances", "max_eval_instances", "max_tokens", "num_completions", "top_k_per_token", "top_k"),
    *("request_datetime", "num_train_instances", "num_conditioning_tokens", "seeds_per_instance", "seed"),
    *("num_spaces", "max_spaces", "num_respondents", "port", "eval_trial_index", "trial_num"),
    *("batch_size", "diffusion_denoising_steps", "num_human_answered", "output_image_height", "output_image_width"),
}
NUMBERS = FLOATS | INTEGERS
FREE = {"args", "extra_data", "output_mapping", "annotations", "json_schema", "finish_reason", "top_logprobs"}
_ABSENT = "(absent)"


@dataclass(frozen=True)
class _Pair:
    """Two values that should be one.

    Attributes:
        source: as `json.loads` gives it.
        rebuilt: the same out of the cache.
        path: JSON path of both.
        number: HELM declares a number here, whose kind is free.
        free: inside a free-form value, where nothing is.
    """

    source: Any
    rebuilt: Any
    path: str = "$"
    number: bool = False
    free: bool = False

    def members(self) -> Iterator["_Pair"]:
        """What stands under each key."""
        for key in dict.fromkeys([*self.source, *self.rebuilt]):
            ours, theirs = self.source.get(key, _ABSENT), self.rebuilt.get(key, _ABSENT)
            number = not self.free and key in NUMBERS
            yield _Pair(ours, theirs, f"{self.path}.{key}", number, self.free or key in FREE)

    def items(self) -> Iterator["_Pair"]:
        """What stands at each index of lists of one length."""
        for index, pair in enumerate(zip(self.source, self.rebuilt, strict=True)):
            yield _Pair(*pair, f"{self.path}[{index}]", self.number, self.free)


def differences(source: Any, rebuilt: Any) -> list[str]:
    """What differs, a sentence each with its JSON path; empty if nothing does. However deep, no call is nested."""
    found = []
    left = [_Pair(source, rebuilt)]
    while left:
        pair = left.pop()
        kinds = {type(pair.source), type(pair.rebuilt)}
        if kinds == {dict}:
            left.extend(pair.members())
        elif kinds == {list} and len(pair.source) == len(pair.rebuilt):
            left.extend(pair.items())
        elif kinds == {list}:
            found.append(f"{pair.path}: {len(pair.source)} items, rebuilt {len(pair.rebuilt)}")
        elif not _same_leaf(pair.source, pair.rebuilt, number=pair.number):
            found.append(f"{pair.path}: {_short(pair.source)}, rebuilt {_short(pair.rebuilt)}")
    return found


def _same_leaf(source: Any, rebuilt: Any, *, number: bool) -> bool:
    kinds = {type(source), type(rebuilt)}
    if number and kinds == {int, float}:
        return bool(source == rebuilt)
    if len(kinds) == 2:
        return False
    return repr(source) == repr(rebuilt) if isinstance(source, float) else bool(source == rebuilt)


def _short(value: Any) -> str:
    text = ascii(value)
    return text if len(text) < 60 else f"{text[:60]}…"
