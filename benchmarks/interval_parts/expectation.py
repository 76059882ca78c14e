"""What is promised before training, held against what is printed after it."""

import math
from collections.abc import Iterator

import numpy as np

from autodls.evaluation.delong import auc_with_ci, compare_aucs
from autodls.planning.expectation import ASSUMED_AUC, auc_standard_error, expected_interval, least_difference
from interval_parts import Row
from interval_parts.noninferiority import two_scores

SIZES = ((24, 7), (72, 22), (72, 7), (115, 34), (267, 86))
_NEAR = 0.015  # of the assumed AUC: studies whose printed interval is compared with the promised one


def rows(studies: int) -> Iterator[Row]:
    """Limits of the interval, and the power at the difference that is promised to be seen."""
    for cases, positives in SIZES:
        error = auc_standard_error(ASSUMED_AUC, positives, cases - positives)
        setting = f"{cases} cases, {positives} positive"
        printed = _median_printed(cases, positives, studies)
        before = (ASSUMED_AUC - 1.96 * error, min(1.0, ASSUMED_AUC + 1.96 * error))
        for side, old, new, median in zip(
            ("lower", "upper"), before, expected_interval(ASSUMED_AUC, error), printed, strict=True
        ):
            off = (100 * abs(old - median), 100 * abs(new - median))
            yield Row(f"{side} limit, promised off median printed, x 100", setting, *off, most=6)
        least = least_difference(error)
        if ASSUMED_AUC + least < 1:
            yield Row(
                "power at the difference that can be told",
                setting,
                None,
                _power(cases, positives, least, studies),
                72,
                92,
            )


def _median_printed(cases: int, positives: int, studies: int) -> tuple[float, float]:
    """Median limits of the printed interval of studies whose AUC is that which is assumed."""
    rng = np.random.default_rng(cases)
    labels = np.arange(cases) < positives
    found = [
        auc_with_ci(labels, two_scores(labels, (ASSUMED_AUC, ASSUMED_AUC), 0.5, rng)[0], out_of_fold=True)
        for _ in range(4 * studies)
    ]
    near = [one for one in found if one.value is not None and abs(one.value - ASSUMED_AUC) < _NEAR]
    return float(np.median([one.low for one in near])), float(np.median([one.high for one in near]))


def _power(cases: int, positives: int, difference: float, studies: int) -> float:
    """Of held-out scores, whose AUCs spread less by the root of 2 and are tested by as much less."""
    rng = np.random.default_rng(positives)
    labels = np.arange(cases) < positives
    half = difference / math.sqrt(2) / 2
    pairs = [two_scores(labels, (ASSUMED_AUC + half, ASSUMED_AUC - half), 0.53, rng) for _ in range(studies)]
    tests = [compare_aucs(labels, *pair) for pair in pairs]
    return float(100 * np.mean([one.p is not None and one.p < 0.05 for one in tests]))
