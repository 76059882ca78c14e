"""The scores of a cohort compared with each other: a pair on the rows that have both, all on those that have all."""

from collections.abc import Sequence
from itertools import combinations

from autodls.evaluation.cohort_table import CohortTable
from autodls.evaluation.delong import compare_aucs, holm
from autodls.evaluation.overall import aucs_differ
from autodls.evaluation.results import ChiSquare, Comparison
from autodls.evaluation.shared_folds import FEWEST_FOR_TESTS, comparison_method
from autodls.evaluation.subsets import judged_by

NO_LABEL = "no case of the cohort has a label"
NO_SCORE = "no case of the cohort has this score"


def comparisons(cohort: CohortTable, names: Sequence[str]) -> tuple[Comparison, ...]:
    """Paired comparisons of all scores in `names`, of which P is adjusted by Holm's method."""
    tests = [_compare(cohort, first, second) for first, second in combinations(names, 2)]
    adjusted = holm([test.p for test in tests])
    return tuple(test.model_copy(update={"p_holm": p}) for test, p in zip(tests, adjusted, strict=True))


def _compare(cohort: CohortTable, first: str, second: str) -> Comparison:
    held = judged_by(cohort, first, second)
    if held.labels is None:
        return Comparison(a=first, b=second, reason=NO_LABEL)
    if not {first, second} <= set(held.scores):
        return Comparison(a=first, b=second, reason=NO_SCORE)
    pair = (held.scores[first], held.scores[second])
    patients, out_of_fold = held.patients, held.out_of_fold
    test = compare_aucs(held.labels, *pair, patients=patients, out_of_fold=out_of_fold, fewest=FEWEST_FOR_TESTS)
    return Comparison(
        a=first,
        b=second,
        n=held.n,
        delta=test.delta,
        low=test.low,
        high=test.high,
        z=test.z,
        p=test.p,
        method=comparison_method(held.patients, out_of_fold=held.out_of_fold),
        reason=test.reason,
    )


def overall_test(cohort: CohortTable, names: Sequence[str]) -> ChiSquare:
    """Whether the AUCs of the scores in `names` differ at all, on the rows that have all of them."""
    present = [name for name in names if name in cohort.scores]
    held = judged_by(cohort, *present)
    if held.labels is None or len(present) < 2:
        return ChiSquare(reason=NO_LABEL if held.labels is None else "fewer than two scores")
    scores = [held.scores[name] for name in present]
    return aucs_differ(held.labels, scores, held.patients, out_of_fold=held.out_of_fold)
