"""What a cohort of this size can show, said before anything is trained."""

import math

from autodls.records.fingerprint import Fingerprint
from autodls.records.plan import Expectation

ASSUMED_AUC = 0.75
_Z_95 = 1.959963984540054


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
    """How precisely the out-of-fold AUC of a cohort will be known, were it `ASSUMED_AUC`.

    Cases of one patient count as one, that is, as if they said the same: how alike they are is not known before.
    """
    positives, negatives = fingerprint.positives, fingerprint.cases - fingerprint.positives
    counts = fingerprint.counts
    error = auc_standard_error(ASSUMED_AUC, counts.effective_positive, counts.effective_negative)
    design_effect = (error / auc_standard_error(ASSUMED_AUC, positives, negatives)) ** 2
    half_width = _Z_95 * error
    per_fold = min(counts.positive, counts.negative) / folds
    low, high = ASSUMED_AUC - half_width, min(1.0, ASSUMED_AUC + half_width)
    verdict = "cannot be told from chance" if low <= 0.5 else "can be told from chance"
    return Expectation(
        positives=positives,
        negatives=negatives,
        rarer_class_per_fold=round(per_fold, 2),
        assumed_auc=ASSUMED_AUC,
        auc_ci_half_width=round(half_width, 4),
        design_effect=None if fingerprint.by_patient is None else round(design_effect, 2),
        statement=(
            f"With {_cohort(fingerprint, design_effect)}, {per_fold:.1f} of the rarer class per fold, an out-of-fold "
            f"AUC of {ASSUMED_AUC:g} would have a 95% confidence interval of about {low:.2f} to {high:.2f}: it "
            f"{verdict}, and two models whose AUCs differ by less than {half_width:.2f} can hardly be told apart."
        ),
    )


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
