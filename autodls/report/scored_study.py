"""What a study is judged by: its cases with their scores, cohort by cohort, and nothing that depends on files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import expit, logit

from autodls.evaluation.results import Excluded
from autodls.evaluation.rows import OUT_OF_FOLD
from autodls.evaluation.scores_table import CohortTable
from autodls.records.cohort import Case, Cohort
from autodls.records.dataset import SurvivalColumns
from autodls.records.scores import FUSED, FoldScore
from autodls.records.segmentation import DrawnRoi
from autodls.records.splits import Splits
from autodls.records.table import is_missing, read_number

MEAN = "mean of sequences"  # no channel can be called so
NO_COHORT = "no cohort named"
_LEAST = float(np.finfo(np.float64).epsneg)  # a score of 0 or 1 has no log-odds
_HELD_OUT = " (held out)"
_EVENTS = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}


@dataclass(frozen=True)
class ScoredCase:
    """A case with its scores: `FUSED` and each sequence that it has."""

    case: Case
    scores: Mapping[str, float]

    def with_mean(self, sequences: Sequence[str]) -> Mapping[str, float]:
        """The scores and the `MEAN` of those of `sequences`, as log-odds: what a fusion of them must be better than."""
        own = [self.scores[name] for name in sequences if name in self.scores]
        if not own:
            return self.scores
        return {**self.scores, MEAN: float(expit(logit(np.clip(own, _LEAST, 1 - _LEAST)).mean()))}


@dataclass(frozen=True)
class ScoredCohort:
    """The scored cases of a cohort; `unscored` says of each other case why it has no score.

    `drawn` says how their ROIs came about where those are automatic.
    """

    cases: tuple[ScoredCase, ...]
    unscored: Mapping[str, str] = field(default_factory=dict)
    drawn: tuple[DrawnRoi, ...] = ()


@dataclass(frozen=True)
class ScoredStudy:
    """Everything that metrics, tables and figures are made from.

    `cohorts` starts with `OUT_OF_FOLD`, the training cases scored by the fold that did not see them; the others were
    scored by the locked model, whose `cutoff` was chosen on the first by `cutoff_rule`. `folds` holds what every fold
    says of every training case, `volumes_ml` the tumour volumes of the training cases, `rows` the place of each case in
    the table (the header is row 1).
    """

    dataset: Cohort
    sequences: tuple[str, ...]
    cohorts: Mapping[str, ScoredCohort]
    cutoff: float
    cutoff_rule: str
    splits: Splits
    folds: Sequence[Sequence[FoldScore]]
    volumes_ml: Mapping[str, float]
    rows: Mapping[str, int]
    seed: int

    @property
    def scores(self) -> tuple[str, ...]:
        """Names of all scores that are compared with each other and drawn, the reference first."""
        return (FUSED, *self.sequences)

    @property
    def judged(self) -> tuple[str, ...]:
        """The same and the `MEAN` of several sequences, which is shown beside them."""
        return (*self.scores, MEAN) if len(self.sequences) > 1 else self.scores

    @property
    def survival(self) -> SurvivalColumns | None:
        """Which columns hold the follow-up."""
        return self.dataset.description.autodls.survival


@dataclass(frozen=True)
class FollowUp:
    """Time of follow-up and whether the event was seen at its end."""

    time: float
    event: bool


def cohort_name(name: str) -> str:
    """The name under which a held-out cohort is shown, which is never that of the training cases.

    >>> cohort_name("external"), cohort_name("train (out of fold)"), cohort_name("")
    ('external', 'train (out of fold) (held out)', 'no cohort named')
    """
    if not name:
        return NO_COHORT
    return name + _HELD_OUT if name.startswith(OUT_OF_FOLD) else name


def labelled_table(study: ScoredStudy, cohort: ScoredCohort, names: Sequence[str]) -> CohortTable:
    """The labelled cases of a cohort that have all scores `names`, and those scores; cases without label are listed.

    A cohort without any label holds all its cases, without labels.
    """
    judged = [scored for scored in cohort.cases if scored.case.label is not None]
    known = [(scored.case, scored.with_mean(study.sequences)) for scored in judged or cohort.cases]
    held = [(case, scores) for case, scores in known if set(names) <= set(scores)]
    excluded = {scored.case.id: "no label" for scored in cohort.cases if judged and scored.case.label is None}
    return CohortTable(
        n=len(held),
        scores={name: np.array([scores[name] for _, scores in held], dtype=np.float64) for name in names if held},
        labels=np.array([case.label for case, _ in held], dtype=bool) if judged else None,
        excluded=_listed(study, {**cohort.unscored, **excluded}),
    )


def followed_table(study: ScoredStudy, cohort: ScoredCohort) -> CohortTable:
    """The cases of a cohort that have follow-up, with the fused score, whether they have a label or not."""
    known = [(scored, follow_up(scored.case, study.survival)) for scored in cohort.cases]
    held = [(scored, found) for scored, found in known if isinstance(found, FollowUp)]
    if not held:
        return CohortTable(n=0, scores={})
    return CohortTable(
        n=len(held),
        scores={FUSED: np.array([scored.scores[FUSED] for scored, _ in held], dtype=np.float64)},
        times=np.array([found.time for _, found in held], dtype=np.float64),
        events=np.array([found.event for _, found in held], dtype=bool),
    )


def follow_up(case: Case, columns: SurvivalColumns | None) -> FollowUp | str:
    """The follow-up of a case, or why what is written cannot be read: "" where nothing is written."""
    if columns is None or is_missing(case.row[columns.time]) or is_missing(case.row[columns.event]):
        return ""
    event = _EVENTS.get(case.row[columns.event].strip().lower())
    if event is None:
        return f"column '{columns.event}' holds '{case.row[columns.event]}', not 0 or 1"
    try:
        time = read_number(case.row[columns.time])
    except ValueError:
        time = None
    if time is None or time < 0:
        return f"column '{columns.time}' holds '{case.row[columns.time]}', not a time"
    return FollowUp(time, event)


def _listed(study: ScoredStudy, reasons: Mapping[str, str]) -> tuple[Excluded, ...]:
    rows = sorted((study.rows.get(case, 0), f"case {case}: {reason}") for case, reason in reasons.items())
    return tuple(Excluded(row=row, reason=reason) for row, reason in rows)
