"""The intervals that are printed: of independent rows, or over patients where some have several rows.

One row a patient: DeLong's on the logit scale for the AUC, Wilson's for rates. Several: the percentile limits of a
bootstrap that draws patients with all their rows. Out of fold, that of an AUC is of twice the variance
(`shared_folds`). Where every row says the same, as for a sensitivity of 1, so does
every resample, and a limit of 1 would be invented; Wilson's interval on the number of patients stands there instead, as
if the rows of a patient were one.
"""

import numpy as np

from autodls.evaluation.binary import wilson
from autodls.evaluation.bootstrap import bootstrap, bootstrap_aucs, percentile_interval
from autodls.evaluation.clusters import is_clustered
from autodls.evaluation.delong import AucEstimate, Bools, Floats, Patients
from autodls.evaluation.results import Auc, AucMethod, PatientsInterval, Rate
from autodls.evaluation.shared_folds import is_of_folds, widened_auc
from autodls.seeding import generator

_NOTHING = "hold no case to divide by"


def printed_auc(labels: Bools, scores: Floats, estimate: AucEstimate, patients: Patients, seed: int = 0) -> Auc:
    """The AUC `estimate` of `scores` (n,) with the interval that is printed; `seed` draws the resamples."""
    if patients is None or not is_clustered(patients):
        limits = {"low": estimate.low, "high": estimate.high}
        return Auc(value=estimate.value, **limits, reason=estimate.reason, method=estimate.method)
    out_of_fold = is_of_folds(estimate.method)
    method: AucMethod = "bootstrap-patients-cv" if out_of_fold else "bootstrap-patients"
    if estimate.reason is not None:
        return Auc(value=estimate.value, reason=estimate.reason, method=method)
    resampled = bootstrap(
        lambda counts: bootstrap_aucs(labels, scores, counts)[0], patients, generator(seed, "evaluate", "patients")
    )
    found = percentile_interval(estimate.value, resampled)
    return Auc(**(widened_auc(found) if out_of_fold else found).model_dump(), method=method)


def printed_rates(
    labels: Bools, scores: Floats, cutoff: float, patients: Patients = None, seed: int = 0
) -> dict[str, Rate]:
    """Sensitivity, specificity, PPV, NPV and accuracy of `scores` (n,), positive at or above `cutoff`, by name."""
    called = scores >= cutoff
    right = called == labels
    of = {"sensitivity": labels, "specificity": ~labels, "ppv": called, "npv": ~called}
    of |= {"accuracy": np.ones(len(labels), dtype=bool)}
    return {name: printed_rate(right, among, patients, seed) for name, among in of.items()}


def printed_rate(right: Bools, among: Bools, patients: Patients = None, seed: int = 0) -> Rate:
    """The share of the rows `among` (n,) that are `right` (n,)."""
    plain = wilson(int((right & among).sum()), int(among.sum()))
    if patients is None or not is_clustered(patients) or plain.value is None:
        return Rate.model_validate(plain.model_dump())
    if plain.value in (0.0, 1.0):
        members = len({name for name, held in zip(patients, among, strict=True) if held})
        return Rate(**wilson(int(plain.value) * members, members).model_dump(), method="wilson-patients")
    hits, rows = (right & among).astype(np.float64), among.astype(np.float64)
    resampled = bootstrap(lambda counts: _ratio(counts @ hits, counts @ rows), patients, _rates(seed))
    found = percentile_interval(plain.value, resampled, lost_because=_NOTHING)
    return Rate(**found.model_dump(), method="bootstrap-patients")


def brier_interval(labels: Bools, probabilities: Floats, patients: Patients = None, seed: int = 0) -> PatientsInterval:
    """The mean squared error with the limits of a bootstrap over patients; `probabilities` (n,) lie within 0..1."""
    errors = (probabilities - labels) ** 2
    if len(errors) < 2:
        return PatientsInterval(value=float(errors.mean()) if len(errors) else None, reason="fewer than two cases")
    if patients is None:
        errors = np.sort(errors)  # so that the order of the rows moves no limit
    resampled = bootstrap(
        lambda counts: counts @ errors / counts.sum(axis=1), len(errors) if patients is None else patients, _rates(seed)
    )
    return PatientsInterval.model_validate(percentile_interval(float(errors.mean()), resampled).model_dump())


def _rates(seed: int) -> np.random.Generator:
    return generator(seed, "evaluate", "rates")


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    return np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator > 0)
