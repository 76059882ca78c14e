"""metrics.json of a study: each score is judged on all cases that have it, each comparison on the cases that have both.

So a sequence that some patients lack takes no patient away from the judgement of the deep-learning score, and a patient
without follow-up counts for the AUC.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from itertools import combinations

from autodls.evaluation.binary import youden_cutoff
from autodls.evaluation.cautions import cautions
from autodls.evaluation.delong import holm
from autodls.evaluation.metrics import cohort_metrics, comparisons, overall_test
from autodls.evaluation.results import CohortMetrics, Comparison, Cutoff, Metrics
from autodls.evaluation.rows import OUT_OF_FOLD
from autodls.evaluation.scores_table import CohortTable, ScoreTable
from autodls.records.scores import FUSED
from autodls.records.segmentation import doubts
from autodls.report.out_of_fold import fold_cautions, out_of_fold_metrics
from autodls.report.scored_study import ScoredCohort, ScoredStudy, follow_up, followed_table, labelled_table

Cutoffs = Mapping[str, Cutoff]


def study_metrics(study: ScoredStudy) -> Metrics:
    """All metrics of all cohorts; the cut-off of every score was chosen on the out-of-fold scores."""
    cutoffs = {name: _cutoff(study, name) for name in study.judged}
    cohorts = {name: _cohort(study, cohort, cutoffs) for name, cohort in study.cohorts.items()}
    cohorts[OUT_OF_FOLD] = out_of_fold_metrics(study, cohorts[OUT_OF_FOLD])
    compared = {name: _only(cohort, study.scores) for name, cohort in cohorts.items()}
    warnings = (*cautions(compared), *fold_cautions(cohorts[OUT_OF_FOLD].folds), *_cautions(study))
    return Metrics(reference=FUSED, cohorts=cohorts, warnings=warnings)


def figure_table(study: ScoredStudy) -> ScoreTable:
    """What the figures of labels draw: of each cohort the scores that all of its cases have."""
    tables = {}
    for name, cohort in study.cohorts.items():
        complete = [score for score in study.scores if score == FUSED or not cases_without(study, cohort, score)]
        tables[name] = labelled_table(study, cohort, complete)
    return ScoreTable(study.scores, tables)


def figure_metrics(metrics: Metrics, table: ScoreTable) -> Metrics:
    """`metrics` of the scores in `table`."""
    cohorts = {name: _only(cohort, (FUSED, *table.cohorts[name].scores)) for name, cohort in metrics.cohorts.items()}
    return metrics.model_copy(update={"cohorts": cohorts})


def _only(cohort: CohortMetrics, names: Collection[str]) -> CohortMetrics:
    """The cohort with the scores `names` alone."""
    return cohort.model_copy(update={"scores": {name: held for name, held in cohort.scores.items() if name in names}})


def cases_without(study: ScoredStudy, cohort: ScoredCohort, score: str) -> int:
    """How many of the cases that are judged by the reference lack `score`."""
    return labelled_table(study, cohort, [FUSED]).n - labelled_table(study, cohort, [FUSED, score]).n


def _cutoff(study: ScoredStudy, name: str) -> Cutoff:
    table = labelled_table(study, study.cohorts[OUT_OF_FOLD], [name])
    if name == FUSED:
        return Cutoff(value=study.cutoff, source=f"{study.cutoff_rule}:{OUT_OF_FOLD}")
    source = f"youden:{OUT_OF_FOLD}"
    value = youden_cutoff(table.labels, table.scores[name]) if table.labels is not None and table.n else None
    return Cutoff(value=value, source=source, reason=None if value is not None else "no case of both classes has it")


def _cohort(study: ScoredStudy, cohort: ScoredCohort, cutoffs: Cutoffs) -> CohortMetrics:
    def table(*names: str) -> CohortTable:
        return labelled_table(study, cohort, names)

    landmark = study.survival.landmark if study.survival else None
    followed = cohort_metrics(followed_table(study, cohort), {FUSED: cutoffs[FUSED]}, landmark)
    alone = {name: cohort_metrics(table(name), {name: cutoffs[name]}) for name in study.judged}
    return alone[FUSED].model_copy(
        update={
            "scores": {name: alone[name].scores[name] for name in study.judged},
            "comparisons": _adjusted([comparisons(table(*pair), pair)[0] for pair in combinations(study.scores, 2)]),
            "global_test": overall_test(table(*study.scores), study.scores),
            "survival": followed.survival,
            "landmark": followed.landmark,
        }
    )


def _adjusted(pairs: list[Comparison]) -> tuple[Comparison, ...]:
    adjusted = holm([pair.p for pair in pairs])
    return tuple(pair.model_copy(update={"p_holm": p}) for pair, p in zip(pairs, adjusted, strict=True))


def _cautions(study: ScoredStudy) -> Iterator[str]:
    for name, cohort in study.cohorts.items():
        yield from (f"cohort {name}: {sentence}" for sentence in _of_cohort(study, cohort))


def _of_cohort(study: ScoredStudy, cohort: ScoredCohort) -> Iterator[str]:
    yield from (f"case {case} is not scored: {reason}" for case, reason in cohort.unscored.items())
    if doubt := doubts(cohort.drawn):
        yield f"{doubt}; the flags stand beside the scores"
    n = labelled_table(study, cohort, [FUSED]).n
    for score in study.sequences:
        if lacking := cases_without(study, cohort, score):
            yield f"{score}: judged on the {n - lacking} of {n} cases that have it, and not drawn among the ROC curves"
    patients = Counter(scored.case.patient for scored in cohort.cases)
    if several := sum(count > 1 for count in patients.values()):
        yield f"{several} patients have several cases; DeLong's and Wilson's intervals take these for independent"
    for scored in cohort.cases:
        found = follow_up(scored.case, study.survival)
        if isinstance(found, str) and found:
            yield f"case {scored.case.id} has no follow-up that can be read: {found}"
