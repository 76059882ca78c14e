"""Several rows of one patient are not independent: covariance of AUCs, and which rows are of one patient.

References
----------
.. [1] Obuchowski. Nonparametric analysis of clustered ROC curve data. Biometrics 1997;53:567-578.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def is_clustered(patients: Sequence[str] | None) -> bool:
    """Whether a patient has several rows; None means that every row is a patient."""
    return patients is not None and len(set(patients)) < len(patients)


def patients_of_class(positive: Bools, patients: Sequence[str] | None) -> dict[str, int]:
    """How many patients have a positive row, and how many a negative one; one may have both."""
    if patients is None:
        return {"positive": int(positive.sum()), "negative": int((~positive).sum())}
    names = np.asarray(patients)
    return {"positive": len(np.unique(names[positive])), "negative": len(np.unique(names[~positive]))}


def few_of_a_class(positive: Bools, patients: Sequence[str] | None, fewest: int) -> str | None:
    """Which class has fewer than `fewest` patients, such as "7 positive"; None where neither has."""
    for name, count in patients_of_class(positive, patients).items():
        if count < fewest:
            return f"{count} {name}"
    return None


def clustered_covariance(positive: Bools, placed: Floats, patients: Sequence[str]) -> Floats:
    """Obuchowski's covariance (k, k) of the AUCs of k scores, from their placements `placed` (k, n) [1]_.

    The placements of a patient are summed, positives and negatives apart, so that a patient counts once however many
    rows there are; a patient with rows of both classes brings the two sums' covariance in. With one row a patient it
    is DeLong's. At least two patients must have a positive row, and two a negative one.
    """
    _, member = np.unique(np.asarray(patients), return_inverse=True)
    total = int(member.max()) + 1
    sums, terms = [], []
    for held in (positive, ~positive):
        of_class = placed[:, held] - placed[:, held].mean(axis=1, keepdims=True)
        per_patient = np.stack([np.bincount(member[held], row, minlength=total) for row in of_class]) / held.sum()
        patients_held = len(np.unique(member[held]))
        terms.append(patients_held / (patients_held - 1) * per_patient @ per_patient.T)
        sums.append(per_patient)
    crossed = total / (total - 1) * sums[0] @ sums[1].T
    return np.asarray(terms[0] + terms[1] + crossed + crossed.T)
