"""Choosing inside a training part: settings of a learner, and how good the learner is with its choosing and all.

Neither sees a case, a label or a score from outside the part that it is given.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from autodls.candidates.learners import Fitted, Learner
from autodls.seeding import stream_seed

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Indices = NDArray[np.intp]

MOST_PARTS = 5


@dataclass(frozen=True)
class Part:
    """Cases with labels and patients, from which something may be learned; `seed` names the stream of chance."""

    cases: tuple[str, ...]
    labels: Bools
    patients: tuple[str, ...]
    seed: int

    def only(self, rows: Indices) -> "Part":
        """The part with `rows` alone, and another stream."""
        return Part(
            tuple(self.cases[row] for row in rows),
            self.labels[rows],
            tuple(self.patients[row] for row in rows),
            stream_seed(self.seed, *(self.cases[row] for row in rows)),
        )

    @property
    def divisions(self) -> Iterator[tuple[Indices, Indices]]:
        """Rows to learn from and rows to judge, some times over: patients whole, both classes to learn from."""
        rarer = min(len({p for p, y in zip(self.patients, self.labels, strict=True) if y == one}) for one in (0, 1))
        if (count := min(MOST_PARTS, rarer)) < 2:
            return
        ways = StratifiedGroupKFold(count, shuffle=True, random_state=self.seed % 2**32)
        for learned, judged in ways.split(np.zeros(len(self.cases)), self.labels, self.patients):
            if len(np.unique(self.labels[learned])) == 2 and len(judged):
                yield learned, judged


@dataclass(frozen=True)
class Chosen:
    """A fitted model and the setting that was chosen for it."""

    setting: str
    model: Fitted


def fit_choosing(learner: Learner, part: Part) -> Chosen:
    """The learner with the setting of least cross-validated log loss within `part`, fitted on all of it.

    Of settings that are alike the first is taken; so it is where the part is too small to be divided.
    """
    settings = learner.settings
    losses = dict.fromkeys(settings, 0.0)
    if len(settings) > 1:
        for learned, judged in part.divisions:
            held, rest = part.only(judged), part.only(learned)
            models = learner.fit(settings, rest.cases, rest.labels, rest.seed)
            for name, model in models.items():
                losses[name] += log_loss(held.labels, model.log_odds(held.cases))
    best = min(settings, key=lambda name: losses[name])
    return Chosen(best, learner.fit([best], part.cases, part.labels, part.seed)[best])


def log_loss(labels: Bools, log_odds: Floats) -> float:
    """Sum over cases of the negative log-likelihood.

    >>> round(log_loss(np.array([True, False]), np.array([0.0, 0.0])), 4)
    1.3863
    """
    return float(np.logaddexp(0, np.where(labels, -log_odds, log_odds)).sum())


def inner_auc(learner: Learner, part: Part) -> float | None:
    """AUC of the learner, its choosing included, by cross-validation within `part`: of pairs of one division alone.

    Pooled, scores of several models would be compared with each other, and one that knows nothing would have less than
    one half. None where the part is too small to be divided.
    """
    won = pairs = 0.0
    for learned, judged in part.divisions:
        held = part.only(judged)
        scores = fit_choosing(learner, part.only(learned)).model.log_odds(held.cases)
        ahead = scores[held.labels][:, None] - scores[~held.labels]
        won += float((ahead > 0).sum() + 0.5 * (ahead == 0).sum())
        pairs += ahead.size
    return won / pairs if pairs else None


def inner_aucs(learners: Mapping[str, Learner], part: Part) -> dict[str, float | None]:
    """`inner_auc` of each."""
    return {name: inner_auc(learner, part) for name, learner in learners.items()}


def best_of(aucs: Mapping[str, float | None], order: Sequence[str]) -> str:
    """The name with the greatest AUC; of those that are alike, or are not known, the first in `order`."""
    known = {name: value for name in order if (value := aucs[name]) is not None}
    return max(known, key=lambda name: known[name]) if known else order[0]
