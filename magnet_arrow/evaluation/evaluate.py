"""`evaluate`: predictors on every fold, draw and budget, and what they predict there."""

import pickle
import platform
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal, TypeAlias

from magnet_arrow._progress import Step, watched
from magnet_arrow._text import counted
from magnet_arrow.errors import SettingError, WorkersLostError
from magnet_arrow.evaluation.harness.budgets import BUDGETS, Budget, check_budgets
from magnet_arrow.evaluation.harness.calls import OF_OTHERS, Answer, said
from magnet_arrow.evaluation.harness.fold_runner import Job, each_fold, run_folds
from magnet_arrow.evaluation.harness.folds import BY_MODEL, Folds, Target, check_folds, make_folds
from magnet_arrow.evaluation.harness.prediction_frame import prediction_frame
from magnet_arrow.evaluation.panel_predictor import PanelPredictor
from magnet_arrow.evaluation.predictors.magnet_adapters import MagnetPredictor, adapted
from magnet_arrow.evaluation.record import Evaluation
from magnet_arrow.evaluation.score_matrix import Families, ScoreMatrix, Scores
from magnet_arrow.evaluation.score_noise import score_noise
from magnet_arrow.instance_predictor import InstancePredictor
from magnet_arrow.predictions.levels import check_level
from magnet_arrow.predictor import RunPredictor

AnyPredictor: TypeAlias = "PanelPredictor | MagnetPredictor | type[PanelPredictor | MagnetPredictor]"
KINDS = (PanelPredictor, RunPredictor, InstancePredictor)
"""The classes of predictors that can be evaluated."""
_MAX_TASKS = 64
_PACKAGES = ("magnet-arrow", "polars", "numpy", "scipy", "scikit-learn")


@dataclass(frozen=True, slots=True)
class EvaluationProgress:
    """How far an evaluation is.

    Attributes:
        done: number of folds that are done.
        folds: number of all folds.
    """

    done: int
    folds: int


def evaluate(
    predictors: "AnyPredictor | Sequence[AnyPredictor]",
    data: Scores,
    *,
    target: Target = "model",
    folds: Folds = "organization",
    budgets: Iterable[Budget] | None = None,
    draws: int = 12,
    seed: int = 0,
    families: Families = None,
    timeout: float | None = None,
    executor: Executor | None = None,
    progress: Callable[[EvaluationProgress], None] | Literal[False] | None = None,
) -> Evaluation:
    """What predictors predict of models, runs or items that they have not seen, next to the actual scores.

    Everything in a fold is held out together. Each predictor is fitted once for each fold, and predicts at each budget
    and draw. At budget k it sees the answers of the held-out model to the first k items of a random order, which is the
    same for all predictors, models and budgets of a draw: `numpy.random.SeedSequence([seed, fold, draw])`. With target
    "model", each scenario is a problem of its own; with "run", a predictor sees all scenarios.

    Where a predictor raises an exception, exceeds the time limit or predicts no number, the value counts as not
    answered; `Evaluation.errors` has the text, and a ranking uses the mean of the train part instead.

    Args:
        predictors: instances or classes of `PanelPredictor`, such as those in `magnet_arrow.evaluation.BASELINES`; and,
            if the data are runs, of `RunPredictor`, which sees the asked instances at its level, and of
            `InstancePredictor`, which sees all instances at its level.
        data: runs or their path; a panel; a frame with `model`, `item`, `score` and perhaps `scenario`; or a CSV or
            Parquet file of one.
        target: what is predicted, see `Target`.
        folds: what is held out together, see `Folds`. For "extrapolation" there is no choice.
        budgets: numbers of items asked, of each scenario; "all" for all. A model that has fewer scores there is not
            predicted. By default 1, 2, 4, … 64 and "all"; 0 if the folds hold out runs, scenarios or items.
        draws: number of random orders of the items.
        seed: of the orders of items, and of the groups of items.
        families: a CSV that says of which family and organisation models are, see `model_families`.
        timeout: seconds for each predictor in each fold.
        executor: runs folds in its workers; predictors must be importable there. Results are the same with any number
            of workers.
        progress: called after each fold, or after several; None and False as for `ingest`.

    Raises:
        SettingError: an argument has an impossible value, or several predictors have one name.
        FamilyNotFoundError: nobody has said of which family or organisation a model is.
        PanelError: the data are no scores.
        MissingPackageError: NumPy or scikit-learn is not installed.
        WorkersLostError: the executor is broken.

    >>> import polars as pl
    >>> from magnet_arrow.evaluation.panel_predictor import PredictedScores
    >>> class Half(PanelPredictor):
    ...     def fit(self, train):
    ...         return self
    ...     def predict(self, asked):
    ...         return PredictedScores([0.5] * len(asked.models))
    >>> scores = [("owl", 1, 1), ("owl", 2, 1), ("wren", 1, 0), ("wren", 2, 1), ("finch", 1, 0), ("finch", 2, 0)]
    >>> frame = pl.DataFrame(scores, schema=["model", "item", "score"], orient="row")
    >>> found = evaluate(Half, frame, folds="model", budgets=[0])
    >>> found.predictions.select("model", "predicted", "actual", "train_mean").rows()
    [('owl', 0.5, 1.0, 0.25), ('wren', 0.5, 0.5, 0.5), ('finch', 0.5, 0.0, 0.75)]
    """
    given = _instances(predictors)
    check_folds(target, folds)
    _check_count("draws", draws, 1)
    _check_count("seed", seed, 0)
    if executor is not None and not hasattr(executor, "submit"):
        raise SettingError("executor:", expected="one of concurrent.futures, or None", found=repr(executor))
    if timeout is not None and not (isinstance(timeout, int | float) and timeout > 0):
        raise SettingError("timeout:", expected="seconds above 0, or None", found=repr(timeout))
    matrix = ScoreMatrix.of(data, families=families)
    chosen = [_of_panels(predictor, matrix, folds) for predictor in given]
    made = make_folds(matrix, target, folds, seed)
    if budgets is None:
        budgets = BUDGETS if folds in BY_MODEL and target != "run" else (0,)
    noise = score_noise(matrix, alone=made[0].alone)
    job = Job(matrix, noise, made, chosen, target, check_budgets(budgets), draws, seed, timeout)
    with watched(progress, _step_of) as report:
        answers = _all_answers(job, executor, report or _ignore)
    if not answers:
        more = " and more" if target == "item" else ""
        raise SettingError(
            "There is nothing to predict.",
            expected=f"a budget of as many items as a held-out model has scores on in a scenario{more}",
            found=", ".join(map(str, job.budgets)),
        )
    return Evaluation(prediction_frame(job, answers), _provenance(job, folds))


def _step_of(progress: EvaluationProgress) -> Step:
    return Step(progress.done, progress.folds, f"{progress.done:,} of {counted(progress.folds, 'fold')}")


def _ignore(_: EvaluationProgress) -> None:
    """Report to nobody."""


def _instances(predictors: "AnyPredictor | Sequence[AnyPredictor]") -> list[PanelPredictor | MagnetPredictor]:
    given = [predictors] if isinstance(predictors, (*KINDS, type)) else list(predictors)
    found = [_instance(predictor) for predictor in given]
    names = [getattr(predictor, "name", type(predictor).__name__) for predictor in found]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise SettingError(
            f"Several predictors have the name {min(twice)!r}.", hint="Override `name` so that each has its own."
        )
    if not found:
        raise SettingError("predictors:", expected="at least one", found="none")
    return found


def _instance(predictor: object) -> PanelPredictor | MagnetPredictor:
    if isinstance(predictor, type) and issubclass(predictor, KINDS):
        predictor = _made(predictor)
    if not isinstance(predictor, KINDS):
        expected = "instances or classes of PanelPredictor, RunPredictor or InstancePredictor"
        raise SettingError("predictors:", expected=expected, found=repr(predictor))
    check_level(f"level of {type(predictor).__name__}", predictor.level)
    name = getattr(predictor, "name", "its class")
    if not isinstance(name, str) or not name:
        raise SettingError(f"{type(predictor).__name__}.name:", expected="a string", found=repr(name))
    return predictor


def _made(predictor: type[PanelPredictor | MagnetPredictor]) -> PanelPredictor | MagnetPredictor:
    try:
        return predictor()
    except OF_OTHERS as error:
        expected = "an instance, or a class that needs no arguments"
        raise SettingError(
            f"predictors: {predictor.__name__} cannot be made.", expected=expected, found=said(error)
        ) from error


def _of_panels(predictor: PanelPredictor | MagnetPredictor, matrix: ScoreMatrix, folds: Folds) -> PanelPredictor:
    return predictor if isinstance(predictor, PanelPredictor) else adapted(predictor, matrix, folds)


def _check_count(name: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise SettingError(f"{name}:", expected=f"a whole number from {least} on", found=repr(value))


def _all_answers(job: Job, executor: Executor | None, progress: Callable[[EvaluationProgress], None]) -> list[Answer]:
    """The answers of all folds, in their order."""
    n_folds = len(job.folds)
    if executor is None:
        found = []
        for number, answers in enumerate(each_fold(job, range(n_folds)), 1):
            found += answers
            progress(EvaluationProgress(number, n_folds))
        return found
    if isinstance(executor, ProcessPoolExecutor):
        _check_pickles(job.predictors)
    n_each = -(-n_folds // _MAX_TASKS)
    tasks = [range(begin, min(begin + n_each, n_folds)) for begin in range(0, n_folds, n_each)]
    futures: dict[Future[list[list[Answer]]], Sequence[int]] = {}
    try:
        futures.update(_submitted(executor, job, tasks))
        done = 0
        for future in as_completed(futures):
            future.result()
            done += len(futures[future])
            progress(EvaluationProgress(done, n_folds))
    except (BrokenExecutor, CancelledError) as error:
        text = f"The executor has lost its workers: {said(error).rstrip('.')}."
        hint = "Worker processes import predictors: write their classes into a file, not into a script or notebook."
        raise WorkersLostError(text, hint=hint if isinstance(error, BrokenProcessPool) else None) from error
    finally:
        for future in futures:
            future.cancel()
    return [answer for future in futures for answers in future.result() for answer in answers]


def _check_pickles(predictors: Sequence[PanelPredictor]) -> None:
    for predictor in predictors:
        try:
            pickle.dumps(predictor)
        except OF_OTHERS as error:
            raise SettingError(
                f"{predictor.name} cannot be sent to a worker process.",
                expected="a predictor that pickle can write, of a class that can be imported",
                found=said(error),
            ) from error


def _submitted(
    executor: Executor, job: Job, tasks: Sequence[Sequence[int]]
) -> Iterable[tuple[Future[list[list[Answer]]], Sequence[int]]]:
    for task in tasks:
        try:
            yield executor.submit(run_folds, job, task), task
        except RuntimeError as error:  # it was shut down
            raise BrokenExecutor(str(error)) from error


def _provenance(job: Job, folds: Folds) -> dict[str, Any]:
    """What an evaluation was made of, as values that JSON has."""
    matrix = job.matrix
    return {
        "versions": {"python": platform.python_version(), **dict(_versions())},
        "arguments": {
            "target": job.target,
            "folds": None if job.target == "extrapolation" else folds,
            "budgets": list(job.budgets),
            "draws": job.draws,
            "seed": job.seed,
            "timeout": job.timeout,
        },
        "predictors": [_described(predictor) for predictor in job.predictors],
        "data": {
            "digest": matrix.digest(),
            "models": len(matrix.models),
            "items": len(matrix.items),
            "scenarios": matrix.scenarios,
        },
        "folds": [
            {"fold": fold.number, "name": fold.name, "models": [matrix.models[row] for row in fold.held_out]}
            for fold in job.folds
        ],
    }


def _versions() -> Iterable[tuple[str, str]]:
    for package in _PACKAGES:
        try:
            yield package, version(package)
        except PackageNotFoundError:
            continue


def _described(predictor: PanelPredictor) -> dict[str, str]:
    of = type(getattr(predictor, "predictor", predictor))  # of an adapted one
    return {"name": predictor.name, "class": f"{of.__module__}:{of.__qualname__}", "level": predictor.level}
