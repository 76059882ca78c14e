"""The intervals that are printed: of independent rows, or over patients where some have several rows.

One row a patient: DeLong's on the logit scale for the AUC, Wilson's for rates. Several: the percentile limits of a
bootstrap that draws patients with all their rows for the AUC, and for a rate Wilson's for as many independent cases as
the rows are worth [1]_: their number over the design effect, which the spread between patients gives. Percentile limits
of a rate would be too near to a rate near 1 (19 of 20: 0.83 to 1.00, Wilson 0.76 to 0.99). Where hardly a
patient says otherwise, as for a sensitivity of 1, the spread is not seen, and the rows of a patient count as one.
Out of fold, the interval of an AUC is of twice the variance (`shared_folds`).

References
----------
.. [1] Korn, Graubard. Confidence intervals for proportions with small expected number of positive counts estimated from
       survey data. Surv Methodol 1998;24:193-201 (effective size, with Student's quantile).
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from autodls.evaluation.arrays import Bools, Floats
from autodls.evaluation.binary import wilson, wilson_limits
from autodls.evaluation.bootstrap import FEWEST_OF_CLASS, bootstrap, bootstrap_auc_interval, percentile_interval
from autodls.evaluation.clusters import few_of_a_class, is_clustered
from autodls.evaluation.delong import AucEstimate, Patients
from autodls.evaluation.results import Auc, AucMethod, PatientsInterval, Rate
from autodls.evaluation.shared_folds import is_of_folds
from autodls.evaluation.widened import widened_auc
from autodls.seeding import generator

Indices = NDArray[np.intp]
_FEWEST_TO_SEE_SPREAD = 5  # patients with a row that is right, and as many with one that is wrong
_Z = 1.959963984540054


def printed_rates(labels: Bools, scores: Floats, cutoff: float, patients: Patients = None) -> dict[str, Rate]:
    """Sensitivity, specificity, PPV, NPV and accuracy of `scores` (n,), positive at or above `cutoff`, by name."""
    called = scores >= cutoff
    right = called == labels
    of = {"sensitivity": labels, "specificity": ~labels, "ppv": called, "npv": ~called}
    of |= {"accuracy": np.ones(len(labels), dtype=bool)}
    return {name: printed_rate(right, among, patients) for name, among in of.items()}


def printed_rate(right: Bools, among: Bools, patients: Patients = None) -> Rate:
    """The share of the rows `among` (n,) that are `right` (n,)."""
    rows = int(among.sum())
    plain = wilson(int((right & among).sum()), rows)
    if plain.value is None:
        return Rate(reason=plain.reason)
    if patients is None or not is_clustered(patients):
        return Rate(value=plain.value, low=plain.low, high=plain.high, effective=rows)
    _, member = np.unique(np.asarray(patients)[among], return_inverse=True)
    held = right[among]
    seen = min(len(np.unique(member[held])), len(np.unique(member[~held]))) >= _FEWEST_TO_SEE_SPREAD
    size = _effective_size(held, member) if seen else _patients_worth(member)
    low, high = wilson_limits(plain.value, size)
    method: Literal["wilson-effective", "wilson-patients"] = "wilson-effective" if seen else "wilson-patients"
    return Rate(value=plain.value, low=low, high=high, effective=size, method=method)


def _effective_size(right: Bools, member: Indices) -> float:
    """How many independent cases the rows of patients `member` (n,) are worth for the share that is `right` (n,).

    At most one a row, and at least what is left where all rows of a patient say the same; the fewer the patients, the
    less their spread is known, which the ratio of the normal to Student's quantile takes off.
    """
    share, rows, patients = float(right.mean()), len(right), int(member.max()) + 1
    apart = np.bincount(member, right - share)
    variance = patients / (patients - 1) * float(apart @ apart) / rows**2
    size = share * (1 - share) / variance if variance > 0 else float(rows)
    return float(np.clip(size * (_Z / t.ppf(0.975, patients - 1)) ** 2, _patients_worth(member), rows))


def _patients_worth(member: Indices) -> float:
    """How many independent cases the rows are worth where all of a patient say the same: one each, if equally many."""
    rows_of = np.bincount(member).astype(np.float64)
    return float(rows_of.sum() ** 2 / (rows_of @ rows_of))


def brier_interval(labels: Bools, probabilities: Floats, patients: Patients = None, seed: int = 0) -> PatientsInterval:
    """The mean squared error with the limits of a bootstrap over patients; `probabilities` (n,) lie within 0..1.

    None with fewer than `FEWEST_OF_CLASS` patients of a class: of 10 cases they hold in 89 %, of 5
    in 78 % (simulated by `benchmarks/intervals.py`).
    """
    errors = (probabilities - labels) ** 2
    if few := few_of_a_class(np.asarray(labels, dtype=bool), patients, FEWEST_OF_CLASS):
        reason = f"{few} patients, fewer than the {FEWEST_OF_CLASS} of a class that a bootstrap needs"
        return PatientsInterval(value=float(errors.mean()) if len(errors) else None, reason=reason)
    if patients is None:
        errors = np.sort(errors)  # so that the order of the rows moves no limit
    resampled = bootstrap(
        lambda counts: counts @ errors / counts.sum(axis=1), len(errors) if patients is None else patients, _rates(seed)
    )
    return PatientsInterval.model_validate(percentile_interval(float(errors.mean()), resampled).model_dump())


def _rates(seed: int) -> np.random.Generator:
    return generator(seed, "evaluate", "rates")


def printed_auc(labels: Bools, scores: Floats, estimate: AucEstimate, patients: Patients, seed: int = 0) -> Auc:
    """The AUC `estimate` of `scores` (n,) with the interval that is printed; `seed` draws the resamples."""
    if patients is None or not is_clustered(patients):
        limits = {"low": estimate.low, "high": estimate.high}
        return Auc(value=estimate.value, **limits, reason=estimate.reason, method=estimate.method)
    out_of_fold = is_of_folds(estimate.method)
    method: AucMethod = "bootstrap-patients-cv" if out_of_fold else "bootstrap-patients"
    if estimate.reason is not None:
        return Auc(value=estimate.value, reason=estimate.reason, method=method)
    found = bootstrap_auc_interval(labels, scores, patients, generator(seed, "evaluate", "patients"))
    return Auc(**(widened_auc(found) if out_of_fold else found).model_dump(), method=method)
