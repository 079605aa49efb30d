"""Dumps of any size in HELM's shape and layout, made from a seed in constant memory.

    python benchmarks/generate.py DIR --runs 5000 --instances 20
    python benchmarks/generate.py DIR --runs 0 --bytes 4GB --one-line

Short runs are like those of `mmlu`: multiple choice, five models that are asked the same questions, one token each.
A long run is like that of `large`: passages, two completions of several tokens, no instance twice. What is repeated
is repeated as often as there; `figures.py` prints how often, beside the real dumps. Only the standard library is used.
"""

import argparse
import json
import random
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate, count, islice
from json.encoder import encode_basestring_ascii as quoted
from pathlib import Path
from typing import Any

MODELS = ("made/heron-2b", "made/owl-7b", "made/wren-3b", "made/finch-1b", "made/condor-70b")
EVERYDAY = re.findall(
    r"\w+",
    "the of and to a in is that it was for on are as with they at be this from or had by not but what all were when "
    "we there can an which their if will each about how up out them she many some so these would other into has more "
    "her two like him see time could no make than first been its who now people my made over did down only way find "
    "use may water long little very after words called just where most know",
)
UNUSUAL_WORDS = ('"{}"', "({})", "{}'s", "{}é", "«{}»", "{} 中文", "\\frac{{{}}}{{2}}", "{} 🙂", "{}\t", "$x_{{{}}}^2$")
"""Marks that text has now and then and JSON has to escape: quotes, backslashes, tabs, all that is not ASCII."""
EXAMPLES = 5
VALID_SHARE = 0.15


class Words:
    """Sentences in which few words are frequent and many are rare, as in a language."""

    def __init__(self, seed: object) -> None:
        random_ = random.Random(f"words {seed}")
        syllables = [a + b for a in "bcdfglmnprstv" for b in ("a", "e", "i", "o", "u", "ar", "en", "il", "or")]
        made = ("".join(random_.choices(syllables, k=random_.randint(2, 4))) for _ in count())
        self._words = [*EVERYDAY, *dict.fromkeys(islice(made, 4000))]
        self._weights = list(accumulate(1 / (rank + 8) for rank in range(len(self._words))))

    def sentence(self, random_: random.Random, fewest: int, most: int) -> str:
        """One of so many words, with a capital and without a full stop."""
        words = random_.choices(self._words, cum_weights=self._weights, k=random_.randint(fewest, most))
        if random_.random() < 0.2:
            place = random_.randrange(len(words))
            words[place] = random_.choice(UNUSUAL_WORDS).format(words[place])
        return " ".join(words).capitalize()


class Layout:
    """How JSON is laid out: with HELM's indent of two blanks, or on one line."""

    def __init__(self, *, one_line: bool) -> None:
        self._indent = None if one_line else 2

    def line(self, depth: int) -> str:
        """The break before something at this depth."""
        return "" if self._indent is None else "\n" + "  " * depth

    @property
    def comma(self) -> str:
        """What stands between two elements, before the break."""
        return ", " if self._indent is None else ","

    def form(self, shape: Any, depth: int) -> str:
        """A value at a depth as a format, with a `%(name)s` for each text `<name>` in it."""
        text = json.dumps(shape, indent=self._indent).replace("%", "%%").replace("\n", self.line(depth) or "\n")
        return re.sub(r'"<(\w+)>"', r"%(\1)s", text)

    def array(self, elements: Sequence[str], depth: int) -> str:
        """Elements that are JSON already, as an array that begins at this depth."""
        if not elements:
            return "[]"
        between = self.comma + self.line(depth + 1)
        return f"[{self.line(depth + 1)}{between.join(elements)}{self.line(depth)}]"


@dataclass(frozen=True, slots=True)
class Question:
    """An instance: what is asked and what may be answered."""

    id: str
    split: str
    text: str
    options: tuple[str, ...]
    correct: int


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model answered, token by token."""

    tokens: tuple[str, ...]
    logprobs: tuple[float, ...]


@dataclass(slots=True)
class Totals:
    """Sums of each stat of a run, for `stats.json`."""

    sums: dict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))


class Kind:
    """What one sort of run asks and how; the two sorts differ in nothing else."""

    method = "multiple_choice_joint"
    instructions = "The following are multiple choice questions (with answers) about {}.\n"
    before, after = "Question: ", "Answer:"
    completions, max_tokens = 1, 1

    def question(self, words: Words, random_: random.Random, number: int) -> Question:
        """The next instance."""
        text = " ".join(words.sentence(random_, 8, 24) + "." for _ in range(random_.choice((1, 2, 2, 3))))
        options = tuple(words.sentence(random_, 2, 13) + "." for _ in range(4))
        split = "valid" if random_.random() < VALID_SHARE else "test"
        return Question(f"id{number}", split, text[:-1] + "?", options, random_.randrange(4))

    def prompt(self, question: Question) -> str:
        """How it stands in a prompt, without the answer."""
        options = "".join(f"{letter}. {option}\n" for letter, option in zip("ABCD", question.options, strict=True))
        return f"{self.before}{question.text}\n{options}{self.after}"

    def answer(self, question: Question) -> str:
        """What the prompt's examples give as the answer."""
        return "ABCD"[question.correct]

    def complete(self, question: Question, random_: random.Random, words: Words, scored: bool) -> list[Completion]:
        """What the model says; `scored` tells whether it gives logprobs."""
        letter = "ABCD"[question.correct if random_.random() < 0.6 else random_.randrange(4)]
        return [Completion((f" {letter}",), (-random_.expovariate(2.0) if scored else 0,))]


class Passages(Kind):
    """Long texts and short free answers."""

    method = "generation"
    instructions = "Answer.\n"
    before, after = "Passage: ", "Answer:"
    completions, max_tokens = 2, 100

    def question(self, words: Words, random_: random.Random, number: int) -> Question:
        """The next instance."""
        text = f"[q{number:04}] " + " ".join(words.sentence(random_, 10, 30) + "." for _ in range(4))
        answer = words.sentence(random_, 2, 4)
        return Question(f"id{number}", "test", text, (answer, answer.upper()), 0)

    def prompt(self, question: Question) -> str:
        """How it stands in a prompt, without the answer."""
        return f"{self.before}{question.text}\n{self.after}"

    def answer(self, question: Question) -> str:
        """What the prompt's examples give as the answer."""
        return f" {question.options[0]}"

    def complete(self, question: Question, random_: random.Random, words: Words, scored: bool) -> list[Completion]:
        """What the model says; `scored` tells whether it gives logprobs."""
        said = [words.sentence(random_, *bounds) for bounds in ((2, 4), (8, 16))]
        said[0] = question.options[0] if random_.random() < 0.5 else said[0]
        texts = [tuple(f" {word}" for word in text.split()) for text in said]
        return [Completion(text, tuple(-random_.expovariate(1.2) for _ in text)) for text in texts]


@dataclass(frozen=True, slots=True)
class Run:
    """One run to be written."""

    name: str
    kind: Kind
    subject: str
    model: str

    def adapter_spec(self) -> dict[str, Any]:
        """How its prompts are made."""
        return {
            "method": self.kind.method,
            "global_prefix": "",
            "global_suffix": "",
            "instructions": self.kind.instructions.format(self.subject.replace("_", " ")),
            "input_prefix": self.kind.before,
            "input_suffix": "\n",
            "reference_prefix": "A. ",
            "reference_suffix": "\n",
            "output_prefix": f"{self.kind.after} ",
            "output_suffix": "\n",
            "instance_prefix": "\n",
            "substitutions": [],
            "max_train_instances": EXAMPLES,
            "max_eval_instances": 10_000,
            "num_outputs": 5,
            "num_train_trials": 1,
            "num_trials": 1,
            "sample_train": True,
            "model_deployment": self.model,
            "model": self.model,
            "temperature": 0.0,
            "max_tokens": self.kind.max_tokens,
            "stop_sequences": ["\n"],
            "multi_label": False,
        }

    def run_spec(self) -> dict[str, Any]:
        """All that determines it."""
        names = ["exact_match", "quasi_exact_match", "prefix_exact_match", "quasi_prefix_exact_match"]
        package = "helm.benchmark.metrics.basic_metrics"
        return {
            "name": self.name,
            "scenario_spec": {"class_name": "made.Scenario", "args": {"subject": self.subject}},
            "adapter_spec": self.adapter_spec(),
            "metric_specs": [
                {"class_name": f"{package}.BasicGenerationMetric", "args": {"names": names}},
                {"class_name": f"{package}.BasicReferenceMetric", "args": {}},
                {"class_name": f"{package}.InstancesPerSplitMetric", "args": {}},
            ],
            "data_augmenter_spec": {
                "perturbation_specs": [],
                "should_augment_train_instances": False,
                "should_include_original_train": False,
                "should_skip_unchanged_train": False,
                "should_augment_eval_instances": False,
                "should_include_original_eval": False,
                "should_skip_unchanged_eval": False,
                "seeds_per_instance": 1,
            },
            "groups": [self.kind.method],
        }


class StateForm:
    """Request states of one run as JSON text."""

    def __init__(self, layout: Layout, run: Run) -> None:
        self._layout, self._run = layout, run
        choice = {"output_mapping": {letter: f"<{letter}>" for letter in "ABCD"}} if type(run.kind) is Kind else {}
        request = {
            "model_deployment": run.model,
            "model": run.model,
            "embedding": False,
            "prompt": "<prompt>",
            "temperature": 0.0,
            "num_completions": run.kind.completions,
            "top_k_per_token": 5,
            "max_tokens": run.kind.max_tokens,
            "stop_sequences": ["\n"],
            "echo_prompt": False,
            "top_p": 1,
            "presence_penalty": 0,
            "frequency_penalty": 0,
        }
        result = {
            "success": True,
            "embedding": [],
            "completions": "<completions>",
            "cached": False,
            "request_time": "<request_time>",
            "request_datetime": "<request_datetime>",
        }
        instance = {"input": {"text": "<text>"}, "references": "<references>", "split": "<split>", "id": "<id>"}
        state = {"instance": instance, "train_trial_index": 0, **choice, "request": request, "result": result}
        state |= {"num_train_instances": EXAMPLES, "prompt_truncated": False, "num_conditioning_tokens": 0}
        self._state = layout.form(state, 2)
        reference = {"output": {"text": "<text>"}, "tags": []}
        self._reference = layout.form(reference, 5)
        self._correct = layout.form(reference | {"tags": ["correct"]}, 5)
        completion = {"text": "<text>", "logprob": "<logprob>", "tokens": "<tokens>"}
        self._completion = layout.form(completion, 5)
        self._token = layout.form({"text": "<text>", "logprob": "<logprob>"}, 7)

    def text(self, question: Question, prompt: str, said: Sequence[Completion], seconds: float, at: int) -> str:
        """One request state."""
        layout = self._layout
        right = self._run.kind.method != Kind.method or -1  # of passages all references are right
        references = [
            (self._correct if right is True or number == question.correct else self._reference)
            % {"text": quoted(option)}
            for number, option in enumerate(question.options)
        ]
        completions = [
            self._completion
            % {
                "text": quoted("".join(one.tokens)),
                "logprob": repr(sum(one.logprobs)),
                "tokens": layout.array(
                    [
                        self._token % {"text": quoted(token), "logprob": repr(logprob)}
                        for token, logprob in zip(one.tokens, one.logprobs, strict=True)
                    ],
                    6,
                ),
            }
            for one in said
        ]
        return self._state % {
            "text": quoted(question.text),
            "references": layout.array(references, 4),
            "split": quoted(question.split),
            "id": quoted(question.id),
            "prompt": quoted(prompt),
            "completions": layout.array(completions, 4),
            "request_time": repr(seconds),
            "request_datetime": repr(at),
            **dict(zip("ABCD", map(quoted, question.options), strict=False)),
        }


class StatForm:
    """Stats as JSON text; those that recur are made once."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        numbers = {name: f"<{name}>" for name in ("sum", "sum_squared", "min", "max", "mean")}
        spread = {"variance": 0.0, "stddev": 0.0}
        shape = {"name": {"name": "<name>", "split": "<split>"}, "count": 1, **numbers, **spread}
        self._stat = layout.form(shape, 3)
        self._entry = layout.form({"instance_id": "<id>", "train_trial_index": 0, "stats": "<stats>"}, 1)
        self._recurring = lru_cache(100_000)(self._text)

    def _text(self, name: str, split: str, value: float) -> str:
        number = repr(value)
        return self._stat % {
            "name": quoted(name),
            "split": quoted(split),
            "sum": number,
            "sum_squared": repr(value * value),
            "min": number,
            "max": number,
            "mean": repr(float(value)),
        }

    def entry(self, question: Question, values: dict[str, float]) -> str:
        """The stats of one instance."""
        split = question.split
        stats = [
            (self._recurring if isinstance(value, int) else self._text)(name, split, value)
            for name, value in values.items()
        ]
        return self._entry % {"id": quoted(question.id), "stats": self._layout.array(stats, 2)}


def instance_values(
    question: Question, prompt: str, said: Sequence[Completion], seconds: float, scored: bool
) -> dict[str, float]:
    """The stats that HELM's basic metrics make of one request state, in their order."""
    best, tokens = said[0], sum(len(one.tokens) for one in said)
    text = "".join(best.tokens).strip()
    exact = int(text in ("ABCD"[question.correct : question.correct + 1], question.options[question.correct]))
    logprob: float = sum(best.logprobs)
    matches = ("exact_match", "quasi_exact_match", "prefix_exact_match", "quasi_prefix_exact_match")
    return {
        "num_references": len(question.options),
        "num_train_trials": 1,
        "num_prompt_tokens": len(prompt) // 5,
        "num_completion_tokens": tokens,
        "num_output_tokens": tokens,
        "training_co2_cost": 0,
        "training_energy_cost": 0,
        "inference_runtime": seconds,
        "batch_size": 1,
        "finish_reason_length": 0,
        "finish_reason_stop": 0,
        "finish_reason_endoftext": 0,
        "finish_reason_unknown": 1,
        "num_train_instances": EXAMPLES,
        "prompt_truncated": 0,
        "max_prob": 2.718281828459045**logprob if scored else 1.0,
        **{name + at: exact for name in matches for at in ("", "@5")},
        "logprob": logprob,
        "num_perplexity_tokens": len(best.tokens),
        "num_bytes": len(text.encode()),
    }


def stats_of(totals: Totals) -> Iterator[dict[str, Any]]:
    """The aggregated stats: the plain ones of each split, then the worst of none under two names."""
    worst: list[dict[str, Any] | None] = [None]
    for name in ("robustness", "fairness"):
        flags = {"robustness": name == "robustness", "fairness": name == "fairness"}
        worst.append({"name": name, **flags, "computed_on": "worst"})
    for perturbation in worst:
        for (name, split), total in totals.sums.items():
            yield _stat(name, split, total / totals.counts[split], perturbation)
    for split, n_instances in totals.counts.items():
        yield _stat("num_instances", split, float(n_instances), None)


def _stat(name: str, split: str, mean: float, perturbation: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "name": {"name": name, "split": split} | ({"perturbation": perturbation} if perturbation else {}),
        "count": 1,
        "sum": mean,
        "sum_squared": mean * mean,
        "min": mean,
        "max": mean,
        "mean": mean,
        "variance": 0.0,
        "stddev": 0.0,
    }


@dataclass(frozen=True)
class Writer:
    """Writes runs below an outputs folder."""

    outputs: Path
    layout: Layout
    words: Words
    seed: object
    suite: str

    def write(self, run: Run, *, instances: int | None = None, size_bytes: int = 0) -> Path:
        """Write one run of so many instances, or of a scenario state of at least so many bytes; its folder."""
        folder = self.outputs / "runs" / self.suite / run.name
        folder.mkdir(parents=True)
        layout = self.layout
        self._write_whole(folder / "run_spec.json", run.run_spec())
        totals = Totals()
        opening = f"{{{layout.line(1)}" + '"adapter_spec": ' + layout.form(run.adapter_spec(), 1).replace("%%", "%")
        opening += f"{layout.comma}{layout.line(1)}" + '"request_states": ['
        with (
            (folder / "scenario_state.json").open("w", encoding="ascii", newline="") as states,
            (folder / "per_instance_stats.json").open("w", encoding="ascii", newline="") as stats,
        ):
            states.write(opening)
            stats.write("[")
            written = len(opening)
            for number, (state, entry) in enumerate(self._elements(run, totals)):
                if number == instances or (instances is None and written >= size_bytes):
                    break
                comma = layout.comma if number else ""
                written += states.write(comma + layout.line(2) + state)
                stats.write(comma + layout.line(1) + entry)
            states.write(f"{layout.line(1)}]{layout.line(0)}}}")
            stats.write(f"{layout.line(0)}]")
        self._write_whole(folder / "stats.json", list(stats_of(totals)))
        return folder

    def _write_whole(self, path: Path, value: Any) -> None:
        path.write_text(self.layout.form(value, 0).replace("%%", "%"), encoding="ascii", newline="")

    def _elements(self, run: Run, totals: Totals) -> Iterator[tuple[str, str]]:
        """Request states and the stats of each, without an end."""
        kind, words = run.kind, self.words
        asked = random.Random(f"{self.seed} {run.subject}")  # all models are asked the same
        said = random.Random(f"{self.seed} {run.name}")
        scored = MODELS.index(run.model) % 2 == 1
        shown = [kind.question(words, asked, number) for number in range(EXAMPLES)]
        head = kind.instructions.format(run.subject.replace("_", " "))
        head += "".join(f"\n{kind.prompt(example)} {kind.answer(example)}\n" for example in shown) + "\n"
        state_form, stat_form = StateForm(self.layout, run), StatForm(self.layout)
        for number in count(EXAMPLES):
            question = kind.question(words, asked, number)
            prompt = head + kind.prompt(question)
            completions = kind.complete(question, said, words, scored)
            seconds = round(said.uniform(0.1, 0.9), 6)
            yield self._counted(
                totals,
                question,
                instance_values(question, prompt, completions, seconds, scored or kind.completions > 1),
                state_form.text(question, prompt, completions, seconds, 1_767_000_000 + number // 3),
                stat_form,
            )

    @staticmethod
    def _counted(
        totals: Totals, question: Question, values: dict[str, float], state: str, form: StatForm
    ) -> tuple[str, str]:
        totals.counts[question.split] += 1
        for name, value in values.items():
            totals.sums[name, question.split] += value
        return state, form.entry(question, values)


def generate(
    folder: Path,
    *,
    runs: int = 0,
    instances: int = 20,
    long_bytes: int = 0,
    one_line: bool = False,
    seed: object = 1,
    suite: str = "made",
) -> Path:
    """Write a dump, and give its outputs folder.

    Args:
        folder: where `benchmark_output` is made, or added to.
        runs: how many short runs.
        instances: of each short run.
        long_bytes: size of the scenario state of one long run; 0 for none.
        one_line: without line breaks, which is not how HELM writes.
        seed: equal seeds give equal bytes.
        suite: folder of the runs.
    """
    outputs = folder / "benchmark_output"
    words = Words(seed)
    writer = Writer(outputs, Layout(one_line=one_line), words, seed, suite)
    random_ = random.Random(f"subjects {seed}")
    subject = ""
    for number in range(runs):
        if number % len(MODELS) == 0:
            plain = re.sub(r"\W+", "_", words.sentence(random_, 2, 2).lower().encode("ascii", "ignore").decode())
            subject = f"{plain.strip('_')}_{number // len(MODELS)}"
        model = MODELS[number % len(MODELS)]
        name = f"mmlu:subject={subject},method=multiple_choice_joint,model={model.replace('/', '_')}"
        writer.write(Run(name, Kind(), subject, model), instances=instances)
    if long_bytes:
        name = f"made_passages:kind=passages,bytes={long_bytes},model={MODELS[-1].replace('/', '_')}"
        writer.write(Run(name, Passages(), "passages", MODELS[-1]), size_bytes=long_bytes)
    return outputs


def size_of(text: str) -> int:
    """Bytes in a size such as 500MB or 4GB (powers of ten)."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kMG]?)B?", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 500MB or 4GB")
    return int(float(found[1]) * {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}[found[2]])


def main() -> None:
    """Write a dump and print its figures."""
    from figures import print_figures

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a new folder")
    parser.add_argument("--runs", type=int, default=100, help="short runs (default 100)")
    parser.add_argument("--instances", type=int, default=20, help="instances of each short run (default 20)")
    parser.add_argument("--bytes", type=size_of, default=0, help="size of the scenario_state.json of one long run")
    parser.add_argument("--one-line", action="store_true", help="everything on one line, instead of HELM's layout")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    outputs = generate(
        args.folder,
        runs=args.runs,
        instances=args.instances,
        long_bytes=args.bytes,
        one_line=args.one_line,
        seed=args.seed,
    )
    print_figures(outputs)


if __name__ == "__main__":
    main()
