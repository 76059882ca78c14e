"""Out-of-fold AUCs: their interval, the alarm that labels are inverted, and P values between scores."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from autodls.evaluation.caveats import is_below_chance
from autodls.evaluation.cohort_table import CohortTable
from autodls.evaluation.comparisons import overall_test
from autodls.evaluation.delong import auc_with_ci, compare_aucs
from autodls.evaluation.intervals import printed_auc
from interval_parts import Row
from interval_parts.linear_study import Design, Floats, Studies, cross_validated, draw_features

DESIGNS = tuple(Design(*sizes) for sizes in ((24, 7), (45, 15), (72, 24), (150, 50), (267, 86), (267, 27)))
STRENGTHS = {"no": 0.0, "weak": 0.6, "fair": 1.2, "strong": 2.0}
SCORES = 4
_FEATURES, _MANY_FEATURES, _INFORMATIVE = 10, 100, 5


def rows(studies: int) -> Iterator[Row]:
    """All sizes and strengths of signal, and patients with several cases."""
    for design in DESIGNS:
        for name, strength in STRENGTHS.items():
            models = simulated(design, strength, studies, seed=design.cases + design.positives)
            setting = f"{design.cases} cases, {design.positives} positive, {name} signal"
            yield from of_interval(design, models, setting, alarm=strength == 0)
            yield from of_tests(design, models, setting)
    for name, strength in STRENGTHS.items():
        models = simulated(Design(72, 24), strength, min(studies, 400), seed=1, features=_MANY_FEATURES)
        setting = f"72 cases, 24 positive, {_MANY_FEATURES} features, {name}"
        yield from of_interval(Design(72, 24), models, setting, alarm=strength == 0)
        yield from of_tests(Design(72, 24), models, setting)
    for name, strength in STRENGTHS.items():
        yield over_patients(Design(72, 24, per_patient=2), strength, min(studies, 500), f"36 patients, {name} signal")


def simulated(
    design: Design, strength: float, studies: int, seed: int, scores: int = SCORES, features: int = _FEATURES
) -> list[Studies]:
    """Models that are equally good, each with features of its own, on the same cases and folds."""
    rng = np.random.default_rng(seed)
    gap = np.zeros(features)
    gap[:_INFORMATIVE] = strength / np.sqrt(_INFORMATIVE)
    return [cross_validated(design, draw_features(design, gap, studies, rng), gap) for _ in range(scores)]


def of_interval(design: Design, models: list[Studies], setting: str, *, alarm: bool) -> Iterator[Row]:
    """How often the interval holds the expected AUC of models on new patients, and that of the ensemble."""
    scores, ensemble = (np.concatenate([getattr(one, name) for one in models]) for name in ("scores", "ensemble"))
    truth = np.full(len(scores), np.mean([one.truth for one in models]))
    limits = [_limits(design, scores, out_of_fold=kind) for kind in (False, True)]
    before, after = (_covers(one, truth) for one in limits)
    yield Row("interval holds the AUC of models trained so", setting, before, after, least=93)
    before, after = (_covers(one, ensemble) for one in limits)
    yield Row("  the AUC of the ensemble, which it is not of", setting, before, after)
    if alarm:
        before, after = (100 * float(np.mean([is_below_chance(None, high) for _, high in one])) for one in limits)
        yield Row("'below chance, inverted?' said of an empty study", setting, before, after, most=3)


def of_tests(design: Design, models: list[Studies], setting: str) -> Iterator[Row]:
    """How often models that are equally good are told apart."""
    pairs = list(combinations([one.scores for one in models], 2))
    before, after = (
        _share(
            [compare_aucs(design.labels, *two, out_of_fold=kind).p for pair in pairs for two in zip(*pair, strict=True)]
        )
        for kind in (False, True)
    )
    yield Row("P < .05 between two equal scores", setting, before, after, most=6)
    stacked = np.stack([one.scores for one in models], axis=1)
    before, after = (_share([_overall(design, of_study, kind) for of_study in stacked]) for kind in (False, True))
    yield Row(f"P < .05 of all {len(models)} equal scores", setting, before, after, most=6)


def _overall(design: Design, scores: Floats, out_of_fold: bool) -> float | None:
    names = [f"score {at}" for at in range(len(scores))]
    table = dict(zip(names, scores, strict=True))
    return overall_test(CohortTable(design.cases, table, design.labels, out_of_fold=out_of_fold), names).p


def over_patients(design: Design, strength: float, studies: int, setting: str) -> Row:
    """Two cases a patient, which share two thirds of what varies."""
    rng = np.random.default_rng(studies)
    gap = np.zeros(_FEATURES)
    gap[:_INFORMATIVE] = strength / np.sqrt(_INFORMATIVE)
    shared = np.repeat(rng.normal(size=(studies, design.cases // 2, _FEATURES)), 2, axis=1)
    own = draw_features(design, np.zeros(_FEATURES), studies, rng)
    sides = np.where(design.labels, 0.5, -0.5)[:, None] * gap
    found = cross_validated(design, np.sqrt(2 / 3) * shared + np.sqrt(1 / 3) * own + sides, gap)
    patients = [str(at // 2) for at in range(design.cases)]
    covered = []
    for out_of_fold in (False, True):
        limits = []
        for scores in found.scores:
            estimate = auc_with_ci(design.labels, scores, patients=patients, out_of_fold=out_of_fold)
            printed = printed_auc(design.labels, scores, estimate, patients)
            limits.append(
                (np.nan if printed.low is None else printed.low, np.nan if printed.high is None else printed.high)
            )
        covered.append(_covers(np.array(limits), np.full(studies, found.truth.mean())))
    before, after = covered
    return Row("interval over patients holds the AUC of such models", setting, before, after, least=93)


def _limits(design: Design, scores: Floats, *, out_of_fold: bool) -> Floats:
    """[study, low and high]; NaN where there is no interval."""
    found = [auc_with_ci(design.labels, one, out_of_fold=out_of_fold) for one in scores]
    return np.array([(one.low, one.high) for one in found], dtype=np.float64)


def _covers(limits: Floats, truth: Floats) -> float:
    known = ~np.isnan(limits[:, 0])
    return float(100 * ((limits[:, 0] <= truth) & (truth <= limits[:, 1]))[known].mean())


def _share(p_values: list[float | None]) -> float | None:
    """Percentage below .05 of those that are there; None where none is."""
    known = [p for p in p_values if p is not None]
    return float(100 * np.mean(np.array(known) < 0.05)) if known else None
