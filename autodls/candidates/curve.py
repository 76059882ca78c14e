"""A candidate fitted on subsets of a fold's training part: the points of its learning curve.

The walls are those of the comparison: a `CurveTask` holds no label of a test case, and every subset lies in the
training part; within it the candidate chooses its settings as it does on the whole.
"""

from dataclasses import dataclass

import numpy as np

from autodls.candidates.learners import Learner
from autodls.candidates.nested import Part, fit_choosing
from autodls.records.curve_run import CurveRun


@dataclass(frozen=True)
class CurveTask:
    """One fold in one repeat: `learner` is fitted on each of `subsets` of `part`, and scores the cases `test`."""

    key: str
    fold: int
    repeat: int
    learner: Learner
    part: Part
    subsets: tuple[tuple[str, ...], ...]
    test: tuple[str, ...]


def fit_subsets(task: CurveTask) -> CurveRun:
    """Log-odds of the test cases by what was learned from each subset alone."""
    row_of = {case: row for row, case in enumerate(task.part.cases)}
    scores = []
    for subset in task.subsets:
        part = task.part.only(np.array([row_of[case] for case in subset], dtype=np.intp))
        scores.append(tuple(fit_choosing(task.learner, part).model.log_odds(task.test).tolist()))
    return CurveRun(key=task.key, fold=task.fold, repeat=task.repeat, test=task.test, scores=tuple(scores))
