"""The cases of one cohort as arrays: scores, labels, follow-up."""

from collections.abc import Mapping
from dataclasses import dataclass

from autodls.evaluation.arrays import Bools, Floats
from autodls.evaluation.results import Excluded


@dataclass(frozen=True)
class CohortTable:
    """The rows of one cohort: `scores` by name, `labels`, `times` and `events`, each (n,).

    A score is NaN in a row that lacks it; `labelled` and `followed` (n,) say which rows have a label, and time and
    event (None: all of them), and what stands in the others means nothing. `patients` names the patient of each row
    (None: every row is a patient). A score without any value in the cohort is not among `scores`; `labels` is None
    without any label, `times` and `events` without any follow-up. See `subsets` for the rows that a number is made of.
    `out_of_fold` says that a cross-validation made the scores: see `shared_folds`.
    """

    n: int
    scores: Mapping[str, Floats]
    labels: Bools | None = None
    times: Floats | None = None
    events: Bools | None = None
    excluded: tuple[Excluded, ...] = ()
    patients: tuple[str, ...] | None = None
    labelled: Bools | None = None
    followed: Bools | None = None
    out_of_fold: bool = False
