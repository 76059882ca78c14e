"""What a study is judged by: its cases with their scores, cohort by cohort, and nothing that depends on files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scipy.special import expit, logit

from autodls.evaluation.cohort_table import CohortTable
from autodls.evaluation.results import Excluded
from autodls.evaluation.score_auc import OUT_OF_FOLD
from autodls.models.recalibration import LEAST
from autodls.records.automatic_roi import AutomaticRoi
from autodls.records.case import Case
from autodls.records.cells import is_missing, read_number
from autodls.records.cohort import Cohort
from autodls.records.dataset import SurvivalColumns
from autodls.records.scores import FUSED, FoldScore
from autodls.records.splits import Splits

MEAN = "mean of sequences"  # no channel can be called so
NO_COHORT = "no cohort named"
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
        return {**self.scores, MEAN: float(expit(logit(np.clip(own, LEAST, 1 - LEAST)).mean()))}


@dataclass(frozen=True)
class ScoredCohort:
    """The scored cases of a cohort; `unscored` says of each other case why it has no score.

    `drawn` says how their ROIs came about where those are automatic.
    """

    cases: tuple[ScoredCase, ...]
    unscored: Mapping[str, str] = field(default_factory=dict)
    drawn: tuple[AutomaticRoi, ...] = ()


@dataclass(frozen=True)
class ScoredStudy:
    """Everything that metrics, tables and figures are made from.

    `cohorts` starts with `OUT_OF_FOLD`, the training cases scored by the fold that did not see them; the others were
    scored by the locked model, whose `cutoff` was chosen on the first by `cutoff_rule`. `folds` holds what every fold
    says of every training case, `volumes_ml` the tumour volumes of the training cases, `rows` the place of each case in
    the table (the header is row 1), `caveats` what is to be known of every held-out score.
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
    caveats: tuple[str, ...] = ()

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


def cohort_table(study: ScoredStudy, cohort: ScoredCohort) -> CohortTable:
    """The scored cases of a cohort with every score that they have, their labels, follow-up and patients.

    What a case is left out of is listed. A cohort without any label holds all its cases, without labels.
    """
    cases = [scored.case for scored in cohort.cases]
    held = [scored.with_mean(study.sequences) for scored in cohort.cases]
    scores = {name: np.array([one.get(name, np.nan) for one in held], dtype=np.float64) for name in study.judged}
    follow_ups = [follow_up(case, study.survival) for case in cases]
    known = [found if isinstance(found, FollowUp) else None for found in follow_ups]
    labelled = np.array([case.label is not None for case in cases], dtype=bool)
    followed = np.array([found is not None for found in known], dtype=bool)
    return CohortTable(
        n=len(cases),
        scores={name: values for name, values in scores.items() if not np.isnan(values).all()},
        labels=np.array([case.label is True for case in cases], dtype=bool) if labelled.any() else None,
        times=np.array([found.time if found else 0.0 for found in known], dtype=np.float64) if followed.any() else None,
        events=np.array([found is not None and found.event for found in known]) if followed.any() else None,
        excluded=_left_out(study, cohort, labels=bool(labelled.any())),
        patients=tuple(case.patient for case in cases),
        labelled=labelled if labelled.any() else None,
        followed=followed if followed.any() else None,
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


def _left_out(study: ScoredStudy, cohort: ScoredCohort, *, labels: bool) -> tuple[Excluded, ...]:
    """Cases without a score, cases without a label where others have one, and sequences that a case lacks."""

    def left_out(case: str, reason: str, of: Literal["everything", "labels", "score"], score: str | None) -> Excluded:
        return Excluded(row=study.rows.get(case, 0), reason=f"case {case}: {reason}", left_out_of=of, score=score)

    found = [left_out(case, reason, "everything", None) for case, reason in cohort.unscored.items()]
    for scored in cohort.cases:
        if labels and scored.case.label is None:
            found.append(left_out(scored.case.id, "no label", "labels", None))
        else:
            lacking = [name for name in study.sequences if name not in scored.scores]
            found += [left_out(scored.case.id, f"no {name}", "score", name) for name in lacking]
    return tuple(sorted(found, key=lambda one: (one.row, one.reason)))
