"""Is the probability of the ensemble one? Its calibration slope on new cases, before and after the correction.

A simulation of the protocol: folds that see the evidence of a case in common and noise of their own, each on a scale
of its own; the common scale from early-stopping cases, the recalibration from pooled out-of-fold scores, the
correlation of the folds from the early-stopping cases' second score (`autodls/models/averaged.py`). "before" uses the
recalibration of single folds for their mean. Run: `python benchmarks/ensemble_slope.py`; a minute or two.
"""

from argparse import ArgumentParser
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autodls.evaluation.binary import class_medians_cutoff
from autodls.evaluation.calibration import calibration
from autodls.models.averaged import scale_of_mean
from autodls.records.scale import LogisticScale
from autodls.records.scores import FUSED, FoldScore, Part
from autodls.training.common_scale import common_scales, correlation_between_folds, on_common_scale
from autodls.training.derived import recalibrate

NEW_CASES = 2000
_PREVALENCE, _APART, _INNER = 1 / 3, 1.6, 0.2
_UNEVEN_SPREAD, _UNEVEN_PLACE = 0.4, 0.5  # of the folds' scales


@dataclass(frozen=True)
class Slopes:
    """Calibration slope and intercept in the large of the ensemble on new cases; `correlation` is the estimate."""

    before: float
    after: float
    large: float
    correlation: float


def trial(seed: int, cases: int, folds: int, correlation: float, *, skewed: bool = False) -> Slopes:
    """One study: `cases` in training, `folds`, whose scores have this `correlation` within a class."""
    chance = np.random.default_rng(seed)
    spread = np.exp(chance.normal(0, _UNEVEN_SPREAD, folds))
    place = chance.normal(0, _UNEVEN_PLACE, folds)

    def draw(count: int) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Labels [case] and log-odds [fold, case], on the folds' own scales."""
        labels = chance.permutation(np.arange(count) < round(_PREVALENCE * count))
        shared = np.where(labels, 0.5, -0.5) * _APART + correlation**0.5 * chance.normal(size=count)
        seen = shared + (1 - correlation) ** 0.5 * chance.normal(size=(folds, count))
        if skewed:  # networks are soon sure of positives, and ever surer of negatives
            seen = np.where(seen > 0, 1.2 * np.tanh(seen / 1.2), seen)
        return labels, spread[:, None] * seen + place[:, None]

    labels, log_odds = draw(cases)
    scored = _folds(chance, labels, log_odds)
    known = {str(case): bool(label) for case, label in enumerate(labels)}
    scales = common_scales(scored, (FUSED,), known)
    pooled = [
        (index, on_common_scale(score, of_fold))
        for index, (fold, of_fold) in enumerate(zip(scored, scales, strict=True))
        for score in fold
        if score.part == "validation"
    ]
    single = recalibrate(pooled)
    found = correlation_between_folds(scored, scales, {score.case: score for _, score in pooled})
    values = np.array([score.log_odds[FUSED] for _, score in pooled])
    crossing = class_medians_cutoff(np.array([score.label for _, score in pooled]), values)
    of_mean = single
    if found is not None and crossing is not None:
        of_mean = scale_of_mean(single, found, folds, crossing)
    new_labels, new = draw(NEW_CASES)
    mean = np.mean([of_fold[FUSED].log_odds(row) for of_fold, row in zip(scales, new, strict=True)], axis=0)
    before, after = (_calibration(new_labels, scale, mean) for scale in (single, of_mean))
    return Slopes(before[0], after[0], after[1], float("nan") if found is None else found)


def _folds(
    chance: np.random.Generator, labels: NDArray[np.bool_], log_odds: NDArray[np.float64]
) -> list[list[FoldScore]]:
    """The scores of every fold: stratified validation parts, and a fifth of each other class as inner hold-out."""
    order = [chance.permutation(np.flatnonzero(labels == label)) for label in (False, True)]
    validates = np.empty(len(labels), dtype=int)
    for cases in order:
        validates[cases] = np.arange(len(cases)) % len(log_odds)
    found = []
    for fold, row in enumerate(log_odds):
        parts: list[Part] = ["validation" if held == fold else "train" for held in validates]
        for cases in order:
            left = chance.permutation(cases[validates[cases] != fold])
            for case in left[: max(2, round(_INNER * len(left)))]:
                parts[case] = "inner"
        found.append(
            [
                FoldScore(
                    case=str(case),
                    part=parts[case],
                    label=bool(labels[case]),
                    logits={FUSED: one},
                    log_odds={FUSED: one},
                )
                for case, one in enumerate(row.tolist())
            ]
        )
    return found


def _calibration(labels: NDArray[np.bool_], scale: LogisticScale, mean: NDArray[np.float64]) -> tuple[float, float]:
    fit = calibration(labels, np.clip(scale.probability(mean), 1e-12, 1 - 1e-12))
    return fit.slope or float("nan"), fit.intercept_large or float("nan")


def main() -> None:
    """Print a table."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100)
    trials = parser.parse_args().trials
    print(f"{trials} trials; mean (SE) of the calibration slope on new cases, mean intercept in the large")
    print("    n  folds  scores   r     r found  before       after        in the large")
    for cases in (72, 267):
        for folds in (3, 5):
            for skewed in (False, True):
                for correlation in (0.5, 0.7, 0.85):
                    found = [trial(seed, cases, folds, correlation, skewed=skewed) for seed in range(trials)]
                    table = np.array([(one.before, one.after, one.large, one.correlation) for one in found])
                    before, after, large, estimated = table.mean(axis=0)
                    error = table.std(axis=0, ddof=1) / trials**0.5
                    print(
                        f"{cases:5d}  {folds:5d}  {'skewed' if skewed else 'normal'}  {correlation:4.2f}  "
                        f"{estimated:7.2f}  "
                        f"{before:.2f} ({error[0]:.2f})  {after:.2f} ({error[1]:.2f})  {large:+.2f}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
