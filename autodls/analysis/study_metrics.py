"""metrics.json of a study: each score is judged on all cases that have it, each comparison on the cases that have both.

So a sequence that some patients lack takes no patient away from the judgement of the deep-learning score, and a patient
without follow-up counts for the AUC.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace

import numpy as np
from scipy.special import expit, logit

from autodls.analysis.out_of_fold import fold_caveats, out_of_fold_metrics
from autodls.analysis.scored_study import ScoredCohort, ScoredStudy, cohort_table, follow_up
from autodls.analysis.sequence_patterns import sequence_patterns
from autodls.evaluation.arrays import Bools, Floats
from autodls.evaluation.binary import class_medians_cutoff, youden_cutoff
from autodls.evaluation.caveats import caveats
from autodls.evaluation.cohort_table import CohortTable
from autodls.evaluation.metrics import cohort_metrics
from autodls.evaluation.metrics_record import CohortMetrics, Metrics
from autodls.evaluation.results import Cutoff
from autodls.evaluation.score_auc import OUT_OF_FOLD
from autodls.evaluation.scores_table import ScoreTable
from autodls.evaluation.subsets import judged_by
from autodls.models.recalibration import LEAST
from autodls.records.scores import FUSED
from autodls.records.segmentation import doubts

Cutoffs = Mapping[str, Cutoff]


def study_metrics(study: ScoredStudy) -> Metrics:
    """All metrics of all cohorts; the cut-off of every score was chosen on the out-of-fold scores, all by one rule."""
    tables = study_tables(study).cohorts
    cutoffs = {name: _cutoff(study, tables[OUT_OF_FOLD], name) for name in study.judged}
    landmark = study.survival.landmark if study.survival else None
    cohorts = {
        name: cohort_metrics(
            table, cutoffs if name != OUT_OF_FOLD else _own(cutoffs), landmark, compared=study.scores, seed=study.seed
        )
        for name, table in tables.items()
    }
    cohorts[OUT_OF_FOLD] = out_of_fold_metrics(study, cohorts[OUT_OF_FOLD])
    cohorts = {name: _with_patterns(study, name, cohort) for name, cohort in cohorts.items()}
    compared = {name: _only(cohort, study.scores) for name, cohort in cohorts.items()}
    warnings = (*caveats(compared), *fold_caveats(cohorts[OUT_OF_FOLD].folds), *_caveats(study))
    return Metrics(reference=FUSED, cohorts=cohorts, warnings=warnings)


def _with_patterns(study: ScoredStudy, name: str, cohort: CohortMetrics) -> CohortMetrics:
    found = sequence_patterns(study, study.cohorts[name], out_of_fold=name == OUT_OF_FOLD)
    return cohort.model_copy(update={"patterns": found})


def study_tables(study: ScoredStudy) -> ScoreTable:
    """The cases of every cohort, as metrics and figures take them."""
    tables = {name: cohort_table(study, cohort) for name, cohort in study.cohorts.items()}
    return ScoreTable(
        study.scores, {name: replace(table, out_of_fold=name == OUT_OF_FOLD) for name, table in tables.items()}
    )


def figure_metrics(metrics: Metrics, table: ScoreTable) -> Metrics:
    """`metrics` of the scores that are drawn: those of `table` that a case of the cohort has, and the reference."""
    drawn = {
        name: [FUSED, *(score for score in table.scores if score in cohort.scores)]
        for name, cohort in table.cohorts.items()
    }
    cohorts = {name: _only(cohort, drawn[name]) for name, cohort in metrics.cohorts.items()}
    return metrics.model_copy(update={"cohorts": cohorts})


def _only(cohort: CohortMetrics, names: Collection[str]) -> CohortMetrics:
    """The cohort with the scores `names` alone."""
    return cohort.model_copy(update={"scores": {name: held for name, held in cohort.scores.items() if name in names}})


def _cutoff(study: ScoredStudy, table: CohortTable, name: str) -> Cutoff:
    """The locked cut-off of the fused score; of any other score, what the same rule chooses on the same cases."""
    source = f"{study.cutoff_rule}:{OUT_OF_FOLD}"
    if name == FUSED:
        return Cutoff(value=study.cutoff, source=source)
    held = judged_by(table, name)
    value = None if held.labels is None or name not in held.scores else _RULES[study.cutoff_rule](*_pair(held, name))
    return Cutoff(value=value, source=source, reason=None if value is not None else "no case of both classes has it")


def _own(cutoffs: Cutoffs) -> dict[str, Cutoff]:
    """The cut-offs, said to be chosen on the scores that they are applied to."""
    return {name: cutoff.model_copy(update={"own": True}) for name, cutoff in cutoffs.items()}


def _pair(held: CohortTable, name: str) -> tuple[Bools, Floats]:
    return np.asarray(held.labels, dtype=bool), held.scores[name]


def _medians_of_log_odds(labels: Bools, scores: Floats) -> float | None:
    """Half way between the median log-odds of the classes, as a probability: as a locked model's cut-off is chosen."""
    middle = class_medians_cutoff(labels, logit(np.clip(scores, LEAST, 1 - LEAST)))
    return None if middle is None else float(expit(middle))


_RULES: Mapping[str, Callable[[Bools, Floats], float | None]] = {
    "youden": youden_cutoff,
    "class_medians": _medians_of_log_odds,
}
"""By the names that a plan may give; `training/ensemble.py` applies them to the fused score."""


def _caveats(study: ScoredStudy) -> Iterator[str]:
    yield from (f"held-out cohorts: {sentence}" for sentence in study.caveats)
    for name, cohort in study.cohorts.items():
        yield from (f"cohort {name}: {sentence}" for sentence in _of_cohort(study, cohort))


def _of_cohort(study: ScoredStudy, cohort: ScoredCohort) -> Iterator[str]:
    yield from (f"case {case} is not scored: {reason}" for case, reason in cohort.unscored.items())
    has = {name for one in cohort.cases for name in one.scores}
    if cohort.cases and (nowhere := [name for name in study.sequences if name not in has]):
        rest = " and ".join(name for name in study.sequences if name in has)
        yield f"no case has {' or '.join(nowhere)}: {FUSED} rests on {rest} alone there"
    if doubt := doubts(cohort.drawn):
        yield f"{doubt}; the flags stand beside the scores"
    for scored in cohort.cases:
        found = follow_up(scored.case, study.survival)
        if isinstance(found, str) and found:
            yield f"case {scored.case.id} has no follow-up that can be read: {found}"
