"""The statistical model of the phantom cohort, and the AUC that it allows.

A hidden expression e ~ N(0, 1) drives everything. With n ~ N(0, 1) and a correlation r,

    log CPS = mean + sd (r e + sqrt(1 - r^2) n),        high: CPS >= 20,

so that e and the standardised log CPS are bivariate normal. The chance of a high CPS rises with e, hence no score
orders patients better than e does (Neyman-Pearson), and the AUC of e is the ceiling. Sequence q shows e only through a
sign e + s_q m, m ~ N(0, 1): the best use of signs with precision P = sum 1 / s_q^2 has correlation r sqrt(P / (1 + P))
with log CPS, and thereby a ceiling by the same formula.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import cumulative_simpson, simpson
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from autodls.errors import ArgumentError
from autodls.phantom.settings import (
    CPS_CUTOFF,
    EXTERNAL_COHORT,
    EXTERNAL_SITE,
    ROI_CHANNEL,
    SEQUENCES,
    TRAINING_COHORT,
    TRAINING_SITES,
    PhantomSettings,
)
from autodls.seeding import generator

LOG_CPS_SD = 1.2
MEDIAN_PFS_LOW_MONTHS = 5.0
FOLLOW_UP_MONTHS = (8.0, 36.0)
PLAIN_EXPRESSION = -1.5  # of a tumour that shows next to nothing
_GOLDEN = (math.sqrt(5) - 1) / 2
_SIGN_NOISE = {"T1WI": (1.5, 2.5), "T2WI": (0.3, 1.5), "CE-T1WI": (0.2, 1.0)}
_STAGE_SHARES = {"T": (0.15, 0.30, 0.30, 0.25), "N": (0.35, 0.20, 0.35, 0.10)}


def auc_of_correlation(correlation: float, prevalence: float) -> float:
    """AUC of e for z > t, where (e, z) are standard bivariate normal and P(z > t) = `prevalence`.

    AUC = integral of f1(e) F0(e) de, with f1 the density of e among positives and F0 its distribution among negatives;
    composite Simpson on [-9, 9], accurate to 1e-6 for a correlation up to 0.999.

    >>> auc_of_correlation(0.0, 0.4)
    0.5
    >>> round(auc_of_correlation(0.9, 0.4), 3)
    0.94
    """
    if not (0 <= correlation < 1 and 0 < prevalence < 1):
        raise ArgumentError(
            f"correlation {correlation} and prevalence {prevalence}: must lie in [0, 1) and (0, 1); correct them"
        )
    expression = np.linspace(-9, 9, 6001)
    density = np.exp(-(expression**2) / 2) / math.sqrt(2 * math.pi)
    margin = (correlation * expression + ndtri(prevalence)) / math.sqrt(1 - correlation**2)
    positives = density * ndtr(margin) / prevalence
    negatives = density * ndtr(-margin) / (1 - prevalence)
    below = cumulative_simpson(negatives, x=expression, initial=0)
    return round(float(simpson(positives * below, x=expression)), 9)


def correlation_for_auc(auc: float, prevalence: float) -> float:
    """The correlation whose `auc_of_correlation` is `auc`.

    Raises ArgumentError for an AUC outside 0.5..0.995.

    >>> round(auc_of_correlation(correlation_for_auc(0.95, 0.4), 0.4), 6)
    0.95
    """
    if not 0.5 <= auc <= 0.995:
        raise ArgumentError(f"ceiling AUC {auc}: must lie in 0.5..0.995; choose another")
    return round(float(brentq(lambda r: auc_of_correlation(r, prevalence) - auc, 0.0, 0.9999, xtol=1e-10)), 9)


def sign_noise(difficulty: float) -> dict[str, float]:
    """SD of the nuisance in the sign of each sequence: CE-T1WI tells most, T2WI less, T1WI hardly anything."""
    return {name: base + slope * difficulty for name, (base, slope) in _SIGN_NOISE.items()}


def signs_correlation(correlation: float, noises: Mapping[str, float]) -> float:
    """Correlation with log CPS of the best linear use of several signs.

    >>> round(signs_correlation(0.9, {"CE-T1WI": 1.0}), 4)
    0.6364
    """
    precision = sum(1 / noise**2 for noise in noises.values())
    return correlation * math.sqrt(precision / (1 + precision))


@dataclass(frozen=True)
class ExpressionModel:
    """Parameters of the model that `settings` ask for."""

    correlation: float
    log_cps_mean: float
    noises: Mapping[str, float]
    settings: PhantomSettings

    @classmethod
    def of(cls, settings: PhantomSettings) -> "ExpressionModel":
        """Solve for the noise that gives the ceiling AUC and for the mean that gives the prevalence."""
        return cls(
            correlation=correlation_for_auc(settings.ceiling_auc, settings.prevalence),
            log_cps_mean=math.log(CPS_CUTOFF) + LOG_CPS_SD * float(ndtri(settings.prevalence)),
            noises=sign_noise(settings.difficulty),
            settings=settings,
        )

    def ceiling_auc(self, *sequences: str) -> float:
        """Best AUC from the signs of `sequences`; of the hidden expression itself when none is named."""
        noises = {name: self.noises[name] for name in sequences}
        correlation = signs_correlation(self.correlation, noises) if noises else self.correlation
        return auc_of_correlation(correlation, self.settings.prevalence)

    def cps(self, level: NDArray[np.float64]) -> NDArray[np.int64]:
        """CPS of standardised log CPS `level`: rounded down, so that 20 means 20 or more, and at most 100."""
        return np.minimum(np.floor(np.exp(self.log_cps_mean + LOG_CPS_SD * level)), 100).astype(np.int64)


@dataclass(frozen=True)
class Patient:
    """One row of the table, with what it hides: `expression` and the `signs` by sequence.

    `second_signs` are those of a second tumour, None where there is none.
    """

    id: str
    cohort: str
    site: str
    expression: float
    signs: Mapping[str, float]
    cps: int
    pfs_months: float
    pfs_event: bool
    clinical: Mapping[str, str]
    missing_sequence: str | None
    second_signs: Mapping[str, float] | None = None


def draw_patient(model: ExpressionModel, case: str) -> Patient:
    """Draw `case`, from its own stream of chance: it does not depend on the size of the cohort."""
    settings = model.settings
    chance = generator(settings.seed, "phantom", case, "patient")
    external = case.startswith("EX")
    level = _balanced_level(settings.seed, case)
    expression = model.correlation * level + math.sqrt(1 - model.correlation**2) * chance.standard_normal()
    signs = {name: expression + model.noises[name] * chance.standard_normal() for name in SEQUENCES}
    cps = int(model.cps(np.array([level]))[0])
    months, event = _progression(cps >= CPS_CUTOFF, settings.hazard_ratio, chance)
    site = str(chance.choice(list(TRAINING_SITES), p=list(TRAINING_SITES.values())))
    signs, second_signs = _with_second(model, case, expression, signs)
    return Patient(
        id=case,
        cohort=EXTERNAL_COHORT if external else TRAINING_COHORT,
        site=EXTERNAL_SITE if external else site,
        expression=expression,
        signs=signs,
        cps=cps,
        pfs_months=months,
        pfs_event=event,
        clinical=_clinical(expression, settings.missing_cells, chance),
        missing_sequence=_missing_sequence(settings.missing_share, chance),
        second_signs=second_signs,
    )


def _with_second(
    model: ExpressionModel, case: str, expression: float, signs: dict[str, float]
) -> tuple[dict[str, float], dict[str, float] | None]:
    """The signs of the first tumour, and of a second one where the case has it, from a stream of chance of its own."""
    settings = model.settings
    chance = generator(settings.seed, "phantom", case, "second tumour")
    if chance.random() >= settings.second_share:
        return signs, None
    plain_is_first = chance.random() < 0.5
    nuisance = {name: model.noises[name] * float(chance.standard_normal()) for name in SEQUENCES}
    if settings.second_shows == "same":
        return signs, {name: expression + noise for name, noise in nuisance.items()}
    plain = {name: PLAIN_EXPRESSION + noise for name, noise in nuisance.items()}
    return (plain, signs) if plain_is_first else (signs, plain)


def _balanced_level(seed: int, case: str) -> float:
    """Standardised log CPS of `case`, N(0, 1) over seeds.

    Within a cohort the quantiles form a Kronecker sequence (steps of the golden ratio from a random start), so every
    cohort, however small, comes near the stated prevalence, and yet no case depends on how many there are.
    """
    start = generator(seed, "phantom", "balance", case[:2]).random()
    quantile = (start + int(case[2:]) * _GOLDEN) % 1.0
    return float(ndtri(min(max(quantile, 1e-9), 1 - 1e-9)))


def _progression(high: bool, hazard_ratio: float, chance: np.random.Generator) -> tuple[float, bool]:
    """Months to progression (exponential) or to the end of the study (patients enter evenly), and which came first."""
    hazard = math.log(2) / MEDIAN_PFS_LOW_MONTHS * (hazard_ratio if high else 1.0)
    progression = chance.exponential(1 / hazard)
    end = chance.uniform(*FOLLOW_UP_MONTHS)
    return max(round(min(progression, end), 2), 0.01), bool(progression <= end)


def _clinical(expression: float, missing_cells: float, chance: np.random.Generator) -> dict[str, str]:
    """Age, sex and N stage without a relation to the expression, T stage with a weak one; some cells are empty."""
    row = {
        "age": f"{np.clip(chance.normal(61, 9), 25, 90):.0f}",
        "sex": str(chance.choice(["male", "female"], p=[0.75, 0.25])),
        "t_stage": _stage("T", 0.2 * expression + math.sqrt(1 - 0.2**2) * chance.standard_normal(), first=1),
        "n_stage": _stage("N", chance.standard_normal(), first=0),
    }
    empty = {name for name in ("age", "t_stage", "n_stage") if chance.random() < missing_cells}
    return {name: "" if name in empty else value for name, value in row.items()}


def _stage(letter: str, level: float, first: int) -> str:
    bounds = ndtri(np.cumsum(_STAGE_SHARES[letter])[:-1])
    return f"{letter}{first + int(np.searchsorted(bounds, level))}"


def _missing_sequence(share: float, chance: np.random.Generator) -> str | None:
    dropped = str(chance.choice([name for name in SEQUENCES if name != ROI_CHANNEL]))
    return dropped if chance.random() < share else None
