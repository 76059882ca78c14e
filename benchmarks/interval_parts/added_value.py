"""Added value, rates, calibration, net benefit, Table 1 and agreement: coverage and error before and after.

`rows()` simulates with fixed seeds, minutes on one core. Before: what was printed until issue 15 of these quantities,
computed here; after: what the package prints.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import expit

from autodls.analysis.shortcuts import added_value
from autodls.evaluation.baseline import compare_numbers
from autodls.evaluation.binary import youden_cutoff
from autodls.evaluation.bootstrap import bootstrap, bootstrap_auc_interval, resample_counts
from autodls.evaluation.calibration import calibration, is_poorly_calibrated
from autodls.evaluation.cohort_table import CohortTable
from autodls.evaluation.comparisons import overall_test
from autodls.evaluation.decision_curve import THRESHOLDS, net_benefit_band
from autodls.evaluation.delong import delong, global_test
from autodls.evaluation.intervals import printed_rate, printed_rates
from autodls.evaluation.own_cutoff import rates_at_own_cutoff
from autodls.evaluation.score_agreement import icc, score_agreement

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Row = tuple[str, str, str, str, str]
"""What, n, before, after, aim."""


def rows() -> list[Row]:
    """Every quantity of this part at two or three sizes."""
    parts: tuple[Callable[[], Iterator[Row]], ...] = (
        _added_value, _own_cutoff, _clustered_rates, _slope, _bands, _bootstrap_aucs, _global, _means, _icc,
    )  # fmt: skip
    return [row for part in parts for row in part()]


def percent(hits: list[bool]) -> str:
    """A share of simulations, without those that print nothing."""
    return f"{100 * np.mean(hits):.1f} %" if hits else "none printed"


def cross_validated(features: Floats, labels: Bools, rng: np.random.Generator, ridge: float, folds: int = 5) -> Floats:
    """Out-of-fold scores (n,) of a ridge regression of the label on `features` (n, p), in stratified folds."""
    member, scores = np.empty(len(labels), dtype=int), np.empty(len(labels))
    for of_class in (labels, ~labels):
        member[of_class] = rng.permutation(np.arange(of_class.sum()) % folds)
    for fold in range(folds):
        seen, target = features[member != fold], np.where(labels, 1.0, -1.0)[member != fold]
        centred = seen - seen.mean(axis=0)
        inside = centred.T @ centred + ridge * np.eye(features.shape[1])
        weights = np.linalg.solve(inside, centred.T @ (target - target.mean()))
        scores[member == fold] = target.mean() + (features[member == fold] - seen.mean(axis=0)) @ weights
    return 4 * scores


def two_normals(rng: np.random.Generator, positives: int, negatives: int, auc: float = 0.75) -> tuple[Bools, Floats]:
    """Labels, and log-odds of which the exact probabilities are the logistic function."""
    apart, labels = np.sqrt(2) * stats.norm.ppf(auc), np.arange(positives + negatives) < positives
    values = rng.normal(size=len(labels)) + apart * labels
    return labels, apart * values - apart**2 / 2 + np.log(positives / negatives)


def _added_value() -> Iterator[Row]:
    for n, positives, features, ridge in ((72, 22, 60, 30.0), (72, 22, 10, 1.0), (115, 34, 60, 300.0)):
        rng, before, after = np.random.default_rng(7), [], []
        labels, cases = np.arange(n) < positives, [f"c{at:03d}" for at in range(n)]
        for _ in range(300):
            score = cross_validated(rng.normal(size=(n, features)), labels, rng, ridge)
            volume = {"volume": dict(zip(cases, rng.normal(size=n).tolist(), strict=True))}
            found = added_value(labels, score, volume, cases)
            if found.p is not None and found.chi2 is not None:
                before.append(bool(stats.chi2.sf(found.chi2, 1) < 0.05))
                after.append(found.p < 0.05)
        what = f"added value of an empty score ({features} features, ridge {ridge:g}): P < 0.05"
        yield what, f"{positives} of {n}", percent(before), percent(after), "2 to 5 %"


def _own_cutoff() -> Iterator[Row]:
    for n, positives in ((24, 7), (72, 22), (115, 34)):
        rng, apart, labels = np.random.default_rng(4), np.sqrt(2) * stats.norm.ppf(0.75), np.arange(n) < positives
        before: list[bool] = []
        after: list[bool] = []
        for _ in range(150):
            scores = rng.normal(size=n) + apart * labels
            cutoff = youden_cutoff(labels, scores) or 0.0
            plain, truth = printed_rates(labels, scores, cutoff), stats.norm.sf(cutoff - apart)
            for held, rates in ((before, plain), (after, rates_at_own_cutoff(plain, labels, scores))):
                found = rates["sensitivity"]
                if found.low is not None and found.high is not None:
                    held.append(bool(found.low <= truth <= found.high))
        what = "sensitivity at the cohort's own Youden cut-off: coverage"
        yield what, f"{positives} of {n}", percent(before), percent(after), ">= 93 %"


def _clustered_rates() -> Iterator[Row]:
    for patients, share, correlation in ((20, 0.8, 0.5), (40, 0.95, 0.8), (12, 0.85, 0.5)):
        rng, member = np.random.default_rng(3), np.repeat(np.arange(patients), 3)
        names, among = [f"p{at:02d}" for at in member], np.ones(3 * patients, dtype=bool)
        before, after = [], []
        for _ in range(300):
            common, own = rng.normal(size=patients)[member], rng.normal(size=len(member))
            right = np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own < stats.norm.ppf(share)
            found = printed_rate(right, among, names)
            after.append(bool((found.low or 0.0) <= share <= (found.high or 0.0)))
            if not right.all():
                hits = right.astype(float)
                resampled = bootstrap(partial(_resampled_rate, hits), names, rng, 500)
                low, high = np.quantile(resampled, [0.025, 0.975])
                before.append(bool(low <= share <= high))
        what = f"rate of {share:g}, three rows a patient (correlation {correlation:g}): coverage"
        yield what, f"{patients} patients", percent(before), percent(after), ">= 93 %"


def _resampled_rate(hits: Floats, counts: Floats) -> Floats:
    return np.asarray(counts @ hits / counts.sum(axis=1))


def _slope() -> Iterator[Row]:
    for n, positives in ((24, 7), (72, 22), (115, 12)):
        rng, before, after, held = np.random.default_rng(21), [], [], []
        for _ in range(400):
            labels, log_odds = two_normals(rng, positives, n - positives)
            found = calibration(labels, expit(log_odds))
            before.append(found.slope is not None and not 0.5 <= found.slope <= 2)
            after.append(is_poorly_calibrated(found))
            if found.slope_low is not None and found.slope_high is not None:
                held.append(found.slope_low <= 1 <= found.slope_high)
        size = f"{positives} of {n}"
        yield "exact probabilities called poorly calibrated", size, percent(before), percent(after), "<= 5 %"
        yield "interval of the calibration slope: coverage", size, "none printed", percent(held), ">= 93 %"


def _bands() -> Iterator[Row]:
    odds, apart = THRESHOLDS / (1 - THRESHOLDS), np.sqrt(2) * stats.norm.ppf(0.75)
    for n, positives in ((72, 22), (267, 80)):
        rng, prevalence = np.random.default_rng(5), positives / n
        above = (np.log(odds) - np.log(positives / (n - positives)) + apart**2 / 2) / apart
        truth = prevalence * stats.norm.sf(above - apart) - (1 - prevalence) * stats.norm.sf(above) * odds
        limits = []
        for _ in range(200):
            labels, log_odds = two_normals(rng, positives, n - positives)
            values, counts = expit(log_odds), resample_counts(n, rng, 400)
            called = (values[:, None] >= THRESHOLDS).astype(float)
            gain = labels[:, None] * called - (~labels)[:, None] * called * odds
            plain = np.quantile(counts @ gain / n, [0.025, 0.975], axis=0)
            band = net_benefit_band(labels, values, counts)
            if band is not None:
                limits.append(np.stack([*plain, band.low, band.high]))
        held = np.array(limits)
        for threshold in (0.3, 0.5, 0.8):
            at = round(100 * threshold) - 1
            before, after = (
                [bool(one[low, at] <= truth[at] <= one[low + 1, at]) for one in held if not np.isnan(one[low, at])]
                for low in (0, 2)
            )
            what = f"net-benefit band at a threshold of {threshold:g}: coverage"
            yield what, f"{positives} of {n}", percent(before), percent(after), ">= 93 % or none"


def _bootstrap_aucs() -> Iterator[Row]:
    for n, positives, auc in ((24, 7, 0.97), (24, 12, 0.97), (72, 22, 0.9)):
        rng, before, after, apart = np.random.default_rng(19), [], [], np.sqrt(2) * stats.norm.ppf(auc)
        labels = np.arange(n) < positives
        for _ in range(200):
            scores = rng.normal(size=n) + apart * labels
            found = bootstrap_auc_interval(labels, scores, None, rng)
            separated = scores[labels].min() > scores[~labels].max()
            before.append(bool(separated))
            after.append(found.low is not None and found.low == found.high)
        what = f"bootstrap interval of an AUC of {auc:g} without width"
        yield what, f"{positives} of {n}", percent(before), percent(after), "0 %"


def _global() -> Iterator[Row]:
    for n, positives, scores in ((24, 7, 4), (72, 7, 4), (72, 22, 4), (115, 34, 6)):
        rng, before, after = np.random.default_rng(31), [], []
        labels, names = np.arange(n) < positives, [f"s{at}" for at in range(scores)]
        spread = np.linalg.cholesky(np.full((scores, scores), 0.5) + 0.5 * np.eye(scores))
        for _ in range(400):
            drawn = (rng.normal(size=(n, scores)) @ spread.T).T + np.sqrt(2) * stats.norm.ppf(0.75) * labels
            plain = global_test(*delong(labels, drawn)).p
            found = overall_test(CohortTable(n, dict(zip(names, drawn, strict=True)), labels), names).p
            before += [] if plain is None else [plain < 0.05]
            after += [] if found is None else [found < 0.05]
        what = f"global test of {scores} equal AUCs, held out: P < 0.05"
        yield what, f"{positives} of {n}", percent(before), percent(after), "<= 6 % or none"


def _means() -> Iterator[Row]:
    for sizes, spreads in (((72, 24), (1.0, 2.0)), ((72, 24), (1.0, 1.0)), ((267, 115, 134), (1.0, 1.0, 2.0))):
        rng, before, after = np.random.default_rng(31), [], []
        for _ in range(1000):
            groups = [rng.normal(0, spread, size) for size, spread in zip(sizes, spreads, strict=True)]
            test, p = compare_numbers(groups)
            after.append(p is not None and p < 0.05)
            pooled = stats.ttest_ind(*groups) if len(groups) == 2 else stats.f_oneway(*groups)
            before.append(bool((pooled.pvalue if test and test.startswith("Welch") else p or 1.0) < 0.05))
        what = f"Table 1, equal means, SD {', '.join(f'{one:g}' for one in spreads)}: P < 0.05"
        yield what, " + ".join(map(str, sizes)), percent(before), percent(after), "about 5 %"


def _icc() -> Iterator[Row]:
    for n in (25, 72):
        rng = np.random.default_rng(4)
        truth = {"after": 0.8, "before": 0.0}
        held: dict[str, list[bool]] = {"before": [], "after": []}
        for size in (200_000, *[n] * 500):
            log_odds = rng.normal(0, 2, (size, 1)) + 2 + rng.normal(0, 1, (size, 2))
            table = expit(log_odds)
            found = {"before": icc(table), "after": score_agreement(table[:, 0], table[:, 1], (0.5, 0.5)).icc}
            if size > n:
                truth["before"] = found["before"].value or 0.0
                continue
            for name, one in found.items():
                if one.low is not None and one.high is not None:
                    held[name].append(one.low <= truth[name] <= one.high)
        yield "ICC of two scores: coverage", str(n), percent(held["before"]), percent(held["after"]), ">= 93 %"


if __name__ == "__main__":
    for line in rows():
        print(" | ".join(line), flush=True)
