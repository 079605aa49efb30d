"""Train scores and answers for the tests of predictors."""

import numpy as np

from magnet_arrow.evaluation import AskedAnswers, TrainScores


def train_scores(scores, scenarios=None):
    scores = np.array(scores, np.float64)
    models, items = ([f"{kind}{number}" for number in range(n)] for kind, n in zip("mi", scores.shape, strict=True))
    return TrainScores(scores, models, items, scenarios or ["s"] * len(items))


def asked_answers(answers, wanted=None, train_rows=None):
    answers = np.array(answers, np.float64)
    wanted = np.ones(answers.shape, np.bool_) if wanted is None else np.array(wanted, np.bool_)
    train_rows = np.full(len(answers), -1) if train_rows is None else np.array(train_rows)
    return AskedAnswers(answers, wanted, [f"h{row}" for row in range(len(answers))], train_rows)


def real_panel(seed=0, n_train=30, n_items=120, n_held_out=6, n_asked=20):
    """Train scores, held-out scores and the held-out answers to a few items, from HELM Lite's `mmlu`."""
    from magnet_arrow.examples.helm_lite import matrix

    rng = np.random.default_rng(seed)
    scores, _ = matrix("mmlu")
    scores = scores[rng.permutation(len(scores))][:, rng.permutation(scores.shape[1])[:n_items]]
    held_out = scores[n_train : n_train + n_held_out]
    answers = np.full(held_out.shape, np.nan)
    answers[:, :n_asked] = held_out[:, :n_asked]
    return scores[:n_train], held_out, answers
