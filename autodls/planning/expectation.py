"""What a cohort of this size can show, said before anything is trained."""

import math

from scipy.special import expit, logit

from autodls.records.fingerprint import Fingerprint
from autodls.records.plan import Expectation

ASSUMED_AUC = 0.75
OUT_OF_FOLD_VARIANCE = 2.0  # as evaluation's `shared_folds`, which says why; a test holds them equal
_Z_95 = 1.959963984540054
_FOR_POWER = _Z_95 + 0.8416212335729143  # a two-sided test at 5 % finds it with a power of 80 %
_ALIKE = 0.5  # correlation of the AUCs of two models on the same cases


def auc_standard_error(auc: float, positives: float, negatives: float) -> float:
    """Standard error of an AUC of which only its value and the numbers of cases are known.

    Hanley & McNeil, Radiology 1982;143:29-36, equations 1 and 2: Q1 = A / (2 - A), Q2 = 2 A^2 / (1 + A), exact for
    exponentially distributed scores.

    >>> round(auc_standard_error(0.75, 100, 100), 4)
    0.0344
    """
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (positives - 1) * (q1 - auc**2) + (negatives - 1) * (q2 - auc**2)
    return math.sqrt(variance / (positives * negatives))


def expect(fingerprint: Fingerprint, folds: int) -> Expectation:
    """How precisely the out-of-fold AUC of a cohort will be known, were it `ASSUMED_AUC`: the interval that is printed.

    Cases of one patient count as one, that is, as if they said the same: how alike they are is not known before.
    """
    positives, negatives = fingerprint.positives, fingerprint.cases - fingerprint.positives
    counts = fingerprint.counts
    error = auc_standard_error(ASSUMED_AUC, counts.effective_positive, counts.effective_negative)
    design_effect = (error / auc_standard_error(ASSUMED_AUC, positives, negatives)) ** 2
    per_fold = min(counts.positive, counts.negative) / folds
    low, high = expected_interval(ASSUMED_AUC, error)
    verdict = "could not be told from chance" if low <= 0.5 else "could be told from chance"
    return Expectation(
        positives=positives,
        negatives=negatives,
        rarer_class_per_fold=round(per_fold, 2),
        assumed_auc=ASSUMED_AUC,
        auc_ci_half_width=round((high - low) / 2, 4),
        design_effect=None if fingerprint.by_patient is None else round(design_effect, 2),
        statement=(
            f"With {_cohort(fingerprint, design_effect)}, {per_fold:.1f} of the rarer class per fold, an out-of-fold "
            f"AUC of {ASSUMED_AUC:g} would have a 95% confidence interval of about {low:.2f} to {high:.2f}, so it "
            f"{verdict}. {_told_apart(error)}"
        ),
    )


def least_difference(error: float) -> float:
    """Which difference of two out-of-fold AUCs about `ASSUMED_AUC` a paired test finds in four studies of five.

    `error` is the standard error of either, were its scores fixed; the AUCs correlate by one half.
    """
    return math.sqrt(OUT_OF_FOLD_VARIANCE * 2 * (1 - _ALIKE)) * error * _FOR_POWER


def _told_apart(error: float) -> str:
    least = least_difference(error)
    two = f"Two models whose AUCs, on the same cases, correlate by {_ALIKE:g}"
    if ASSUMED_AUC + least >= 1:
        return f"{two} could hardly be told apart, whatever their AUCs."
    return f"{two} must differ by about {least:.2f} to be told apart in four of five such studies."


def expected_interval(auc: float, error: float) -> tuple[float, float]:
    """95% interval of an out-of-fold `auc` whose standard error would be `error`, were its scores fixed.

    >>> low, high = expected_interval(0.75, 0.05)
    >>> round(low, 3), round(high, 3)
    (0.589, 0.863)
    """
    half = _Z_95 * math.sqrt(OUT_OF_FOLD_VARIANCE) * error / (auc * (1 - auc))
    return float(expit(logit(auc) - half)), float(expit(logit(auc) + half))


def _cohort(fingerprint: Fingerprint, design_effect: float) -> str:
    counts, negatives = fingerprint.counts, fingerprint.cases - fingerprint.positives
    patients = f"{counts.positive} positive and {counts.negative} negative patients"
    if fingerprint.by_patient is None:
        return patients
    both = f", {counts.both} patients have both" if counts.both else ""
    return (
        f"{patients} ({fingerprint.positives} and {negatives} cases{both}; those of a patient counted as one, a design "
        f"effect of {design_effect:.1f})"
    )
