"""Few of a class, and scores that are too extreme: tests of held-out AUCs, limits of the Brier score and in the large.

Before: what was printed until such figures were withheld, or came by another variance. After: what is printed now; none
where nothing is.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
from scipy.special import expit

from autodls.evaluation.bootstrap import bootstrap, percentile_interval
from autodls.evaluation.calibration import calibration
from autodls.evaluation.delong import compare_aucs
from autodls.evaluation.intervals import brier_interval
from autodls.evaluation.logistic import intercept_at_slope_one
from autodls.evaluation.shared_folds import FEWEST_FOR_TESTS
from interval_parts import Row
from interval_parts.linear_study import Bools, Floats
from interval_parts.noninferiority import two_scores

_Z = 1.959964


def rows(studies: int) -> Iterator[Row]:
    """Tests of equal AUCs, limits of the Brier score, limits of calibration in the large."""
    for positives, negatives in ((2, 20), (5, 50), (7, 100), (10, 50), (20, 50)):
        for auc in (0.6, 0.75, 0.9):
            yield _equal_aucs(positives, negatives, auc, studies)
    for cases in (5, 10, 40):
        yield _brier(cases, studies)
    for cases in (72, 300):
        for extreme in (1.0, 2.0, 3.0):
            yield _in_the_large(cases, extreme, studies)


def _equal_aucs(positives: int, negatives: int, auc: float, studies: int) -> Row:
    rng = np.random.default_rng(positives)
    labels = np.arange(positives + negatives) < positives
    found: list[list[float | None]] = []
    for _ in range(studies):
        pair = two_scores(labels, (auc, auc), 0.5, rng)
        found.append([compare_aucs(labels, *pair, fewest=fewest).p for fewest in (0, FEWEST_FOR_TESTS)])
    before, after = (_share([one is not None and one < 0.05 for one in side]) for side in zip(*found, strict=True))
    printed = sum(one is not None for _, one in found) > studies / 2  # scores that rank alike have P = 1 however few
    setting = f"{positives} + {negatives}, AUC {auc:g}, correlation 0.5"
    return Row("two equal AUCs, held out: P < 0.05", setting, before, after if printed else None, most=8)


def _brier(cases: int, studies: int) -> Row:
    rng = np.random.default_rng(cases)
    truth = _brier_truth(rng)
    before: list[bool] = []
    printed: list[bool] = []
    while len(before) < studies:
        labels, probabilities = _calibrated(cases, 1.0, rng)
        if labels.all() or not labels.any():
            continue
        errors = (probabilities - labels) ** 2
        plain = percentile_interval(float(errors.mean()), bootstrap(partial(_mean, errors), cases, rng, 500))
        before.append((plain.low or 0.0) <= truth <= (plain.high or 1.0))
        now = brier_interval(labels, probabilities)
        if now.low is not None and now.high is not None:
            printed.append(now.low <= truth <= now.high)
    after = _share(printed) if len(printed) > studies / 2 else None
    return Row("Brier score: coverage", f"{cases} cases, half positive", _share(before), after, least=90)


def _in_the_large(cases: int, extreme: float, studies: int) -> Row:
    """The truth is the intercept that very many cases have."""
    rng = np.random.default_rng(cases)
    truth = intercept_at_slope_one(*_with_logits(400_000, extreme, rng))
    before, after = [], []
    for _ in range(studies):
        labels, logits = _with_logits(cases, extreme, rng)
        found = calibration(labels, expit(logits))
        if found.intercept_large is None or found.intercept_large_low is None or found.intercept_large_high is None:
            continue
        fitted = expit(logits + found.intercept_large)
        half = _Z / np.sqrt((fitted * (1 - fitted)).sum())
        before.append(abs(found.intercept_large - truth) <= half)
        after.append(found.intercept_large_low <= truth <= found.intercept_large_high)
    setting = f"{cases} cases, log-odds {extreme:g} times too wide"
    return Row("calibration in the large: coverage", setting, _share(before), _share(after), least=93)


def _with_logits(cases: int, extreme: float, rng: np.random.Generator) -> tuple[Bools, Floats]:
    labels, probabilities = _calibrated(cases, extreme, rng)
    return labels, np.log(probabilities / (1 - probabilities))


def _calibrated(cases: int, extreme: float, rng: np.random.Generator) -> tuple[Bools, Floats]:
    """Labels, and probabilities whose log-odds are `extreme` times those of the truth and half a unit too low."""
    truth = rng.normal(0, 1.2, cases)
    off = 0.0 if extreme == 1.0 else -0.5
    return rng.random(cases) < expit(truth), np.asarray(expit(extreme * truth + off))


def _brier_truth(rng: np.random.Generator) -> float:
    labels, probabilities = _calibrated(1_000_000, 1.0, rng)
    return float(((probabilities - labels) ** 2).mean())


def _mean(errors: Floats, counts: Floats) -> Floats:
    return np.asarray(counts @ errors / len(errors))


def _share(held: list[bool]) -> float:
    return 100 * float(np.mean(held))
