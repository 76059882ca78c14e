"""One fold of the comparison: every candidate learns in the fold's training part, and one of them is chosen there.

The walls. A `FoldTask` holds no label of a test case, and no score of networks that were trained on one: so neither
settings, nor weights, nor the choice between candidates can depend on it. Of the networks there are the fold's own, and
of their scores those of the early-stopping set (not trained on; it chose when training stopped, which is in their
favour) and of the test fold. The apparent scores of the cases that they were trained on are of no use. Scores of other
folds' networks would be: a case of this test fold was among their training cases, and its label comes back with them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from autodls.candidates.learners import Fitted, Learner
from autodls.candidates.nested import Part, best_of, fit_choosing, inner_aucs
from autodls.candidates.stacking import cross_fitted, fit_stack
from autodls.evaluation.delong import auc
from autodls.models.recalibration import fit_scale
from autodls.records.comparison import FoldComparison

Floats = NDArray[np.float64]

DEEP = "deep"
MARGIN = 0.1
"""Of the AUC on the early-stopping set, by which another must lead all together (`benchmarks/choice_rule.py`)."""
_SCALE_PRIOR_SD = 0.5  # of the log slope, a standard deviation of the early-stopping cases: they are few
_LEAST_SPREAD = 1e-9


@dataclass(frozen=True)
class FoldTask:
    """What the comparison of fold `index` may know.

    `train` are the cases that the fold's networks were trained on, `stopping` its early-stopping set, `test` the ids of
    the cases that it never sees. `learners` stand in the order in which one is taken among equals. `deep` holds logits
    of the fold's own networks for the cases of `stopping` and `test`; None where there are none. `also` holds the same
    of other networks, of experiments on the same folds, by name. `stacks` says of each integrated candidate which
    candidates it is made of.
    """

    index: int
    key: str
    train: Part
    stopping: Part
    test: tuple[str, ...]
    learners: Mapping[str, Learner]
    deep: Mapping[str, float] | None = None
    stacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    also: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def networks(self) -> Mapping[str, Mapping[str, float]]:
        """The logits of all networks, by candidate."""
        return {} if self.deep is None else {DEEP: self.deep, **self.also}

    @property
    def integrated(self) -> str | None:
        """The integrated candidate that is made of most; None without networks."""
        return max(self.stacks, key=lambda name: len(self.stacks[name])) if self.deep and self.stacks else None

    @property
    def whole(self) -> Part:
        """Train and early-stopping set: what a candidate without networks may learn from."""
        return Part(
            (*self.train.cases, *self.stopping.cases),
            np.concatenate([self.train.labels, self.stopping.labels]),
            (*self.train.patients, *self.stopping.patients),
            self.train.seed,
        )


def compare_fold(task: FoldTask) -> FoldComparison:
    """Log-odds of the test cases by every candidate, and which one was chosen without them."""
    learned = {name: fit_choosing(learner, task.whole) for name, learner in task.learners.items()}
    inner = inner_aucs(task.learners, task.whole)
    scores = {name: one.model.log_odds(task.test) for name, one in learned.items()}
    settings = {name: one.setting for name, one in learned.items()}
    early: dict[str, Floats] = {}
    if task.networks:
        early = _early(task, {name: fit_choosing(one, task.train).model for name, one in task.learners.items()})
        scores |= {name: _scaled(task, logits, task.test) for name, logits in task.networks.items()}
        for name, parts in task.stacks.items():
            seen = np.column_stack([early[part] for part in parts])
            stack = fit_stack(seen, task.stopping.labels)
            scores[name] = stack.log_odds(np.column_stack([scores[part] for part in parts]))
            settings[name] = ", ".join(f"{part} {w:.2f}" for part, w in zip(parts, stack.weights, strict=True))
            early[name] = cross_fitted(seen, task.stopping.labels, task.stopping.patients)
    stopping = {name: auc(task.stopping.labels, values) for name, values in early.items()}
    return FoldComparison(
        key=task.key,
        fold=task.index,
        scores={name: dict(zip(task.test, values.tolist(), strict=True)) for name, values in scores.items()},
        early={name: dict(zip(task.stopping.cases, values.tolist(), strict=True)) for name, values in early.items()},
        settings=settings,
        inner=inner,
        stopping=stopping,
        chosen=choose(inner, stopping, tuple(task.learners), task.integrated),
    )


def choose(
    inner: Mapping[str, float | None], stopping: Mapping[str, float | None], simple: Sequence[str], whole: str | None
) -> str:
    """The candidate that a fold takes, by what its training part says.

    Without networks the one of the `simple` ones with the greatest cross-validated AUC. With them `whole`, the score
    that puts all together, unless another has an AUC that is greater by more than `MARGIN` on the early-stopping set:
    the networks alone, those of another experiment, a part of it, or that simple one. An early-stopping set of one
    class speaks for no networks.

    >>> inner, simple = {"volume": 0.7, "radiomics": 0.8}, ("volume", "radiomics")
    >>> choose(inner, {"volume": 1.0, "radiomics": 0.75, "deep": 0.9, "integrated": 0.85}, simple, "integrated")
    'integrated'
    >>> choose(inner, {"volume": 1.0, "radiomics": 0.75, "deep": 0.9, "integrated": 0.75}, simple, "integrated")
    'deep'
    """
    best = [best_of(inner, simple)] if simple else []
    if whole is None:
        return best[0] if best else best_of(stopping, list(stopping))
    bar = stopping.get(whole)
    if bar is None:
        return best[0]
    others = [*best, *(name for name in stopping if name not in simple)]
    first = best_of(stopping, others)
    return first if (stopping[first] or 0.0) > bar + MARGIN else whole


def _early(task: FoldTask, models: Mapping[str, Fitted]) -> dict[str, Floats]:
    """Log-odds of the early-stopping set by models that were fitted without it."""
    cases = task.stopping.cases
    found = {name: model.log_odds(cases) for name, model in models.items()}
    return found | {name: _scaled(task, logits, cases) for name, logits in task.networks.items()}


def _scaled(task: FoldTask, logits: Mapping[str, float], cases: tuple[str, ...]) -> Floats:
    """Log-odds of networks: `logits` centred and divided by their spread over the early-stopping set, then scaled."""
    seen = np.array([logits[case] for case in task.stopping.cases], dtype=np.float64)
    spread = float(seen.std(ddof=1)) if len(seen) > 1 else 0.0
    within = spread if spread > _LEAST_SPREAD else 1.0
    scale = fit_scale((seen - seen.mean()) / within, task.stopping.labels, _SCALE_PRIOR_SD)
    values = np.array([logits[case] for case in cases], dtype=np.float64)
    return np.asarray(scale.log_odds((values - seen.mean()) / within), dtype=np.float64)
