"""Follow-up: tests by a cut-off that labels chose, few events, proportional hazards, and benefit beyond a landmark."""

from collections.abc import Callable, Iterator

import numpy as np

from autodls.evaluation.binary import class_medians_cutoff, youden_cutoff
from autodls.evaluation.cohort_survival import FEWEST_EXPECTED, cohort_survival, expected_events
from autodls.evaluation.cohort_table import CohortTable
from autodls.evaluation.delong import auc
from autodls.evaluation.landmark import landmark_benefit
from autodls.evaluation.results import Cutoff
from autodls.evaluation.survival import group_survival, hazard_ratio, kaplan_meier, logrank, proportional_hazards
from autodls.evaluation.undetermined import auc_bounds
from interval_parts import Row
from interval_parts.linear_study import Bools, Design, Floats, cross_validated

LANDMARK = 6.0
_RULES: dict[str, Callable[[Bools, Floats], float | None]] = {
    "youden": youden_cutoff,
    "class_medians": class_medians_cutoff,
}


def rows(studies: int) -> Iterator[Row]:
    """Groups by a cut-off, few events, proportional hazards, landmark; a quarter of the studies where fits are slow."""
    for rule in _RULES:
        for benefit in (False, True):
            for out_of_fold in (False, True):
                yield chosen_cutoff(rule, studies // 4, benefit=benefit, out_of_fold=out_of_fold)
    yield _score_out_of_fold(studies // 4)
    for cases, high in ((24, 2), (60, 2), (100, 4), (24, 6), (72, 12)):
        yield few_events(cases, high, studies // 4)
    yield from _proportional(studies // 4)
    for depends in (0.0, -1.0):
        yield bounds(depends, studies)
        yield _told(depends, studies // 8)
    yield _rate(studies // 4)
    yield _median(studies // 4)


def followed(rng: np.random.Generator, hazard: Floats) -> tuple[Floats, Bools]:
    """Times and events of patients with a `hazard` (n,) relative to a mean of 4.2 months, followed for 3 to 30."""
    times, censored = rng.exponential(4.2 / hazard), rng.uniform(3, 30, len(hazard))
    return np.minimum(times, censored), times <= censored


def chosen_cutoff(rule: str, studies: int, *, benefit: bool, out_of_fold: bool, cases: int = 72) -> Row:
    """The log-rank test of an empty score, cut where labels of the same patients say: P < 0.05 in percent.

    The label is benefit beyond the landmark, or has a hazard ratio of 2.5.
    """
    rng = np.random.default_rng(11)
    wrong: list[bool] = []
    printed: list[bool] = []
    for _ in range(studies):
        cohort = _cohort(rng, cases, benefit=benefit, out_of_fold=out_of_fold)
        if cohort.labels is None or cohort.times is None or cohort.events is None:
            continue
        scores = cohort.scores["dls"]
        value = _RULES[rule](cohort.labels, scores)
        found = None if value is None else logrank(cohort.times, cohort.events, scores >= value).p
        wrong.append(found is not None and found < 0.05)
        if len(printed) < 3:  # of a setting all are printed or none is
            said = cohort_survival(cohort, "dls", Cutoff(value=value, source=f"{rule}:here", own=True))
            printed.append(said is not None and said.logrank.p is not None)
    what = "benefit" if benefit else "prognostic"
    setting = f"{rule}, label {what}, {'out of fold' if out_of_fold else 'fixed score'}"
    error = 100 * float(np.mean(wrong))
    after = error if any(printed) else None
    return Row("log-rank of an empty score at its labels' cut-off", setting, error, after, most=8)


def _cohort(rng: np.random.Generator, cases: int, *, benefit: bool, out_of_fold: bool) -> CohortTable:
    """Positives first, as `Design` has them."""
    if benefit:
        times, events = followed(rng, np.ones(cases))
        order = np.argsort(-(times > LANDMARK).astype(int), kind="stable")
        times, events = times[order], events[order]
        labels = times > LANDMARK
    else:
        labels = np.arange(cases) < round(0.3 * cases)
        times, events = followed(rng, np.where(labels, 2.5, 1.0))
    scores = rng.normal(size=cases)
    if out_of_fold:
        design = Design(cases, int(labels.sum()))
        scores = cross_validated(design, rng.normal(size=(1, cases, 30)), np.zeros(30)).scores[0]
    return CohortTable(cases, {"dls": scores}, labels, times, events, out_of_fold=out_of_fold)


def _score_out_of_fold(studies: int) -> Row:
    rng, wrong = np.random.default_rng(13), []
    for _ in range(studies):
        cohort = _cohort(rng, 72, benefit=True, out_of_fold=True)
        if cohort.times is not None and cohort.events is not None:
            found = hazard_ratio(cohort.times, cohort.events, cohort.scores["dls"]).p
            wrong.append(found is not None and found < 0.05)
    said = cohort_survival(cohort, "dls", Cutoff(value=0.0, source="given"))
    after = None if said is None or said.cox_per_sd is None or said.cox_per_sd.p is None else np.nan
    return Row("Cox regression of an empty score", "label benefit, out of fold", 100 * float(np.mean(wrong)), after)


def few_events(cases: int, high: int, studies: int) -> Row:
    """The log-rank test of equal groups, of which one is small."""
    rng, group, before, after = np.random.default_rng(cases), np.arange(cases) < high, [], []
    for _ in range(studies):
        times, events = followed(rng, np.ones(cases))
        found = logrank(times, events, group).p
        if found is not None:
            before.append(found < 0.05)
            after += [found < 0.05] if expected_events(events, group) >= FEWEST_EXPECTED else []
    printed = 100 * float(np.mean(after)) if len(after) > studies // 10 else None
    return Row("log-rank of equal groups", f"{high} of {cases}", 100 * float(np.mean(before)), printed, most=8)


def _proportional(studies: int) -> Iterator[Row]:
    for months in (False, True):
        rng, wrong = np.random.default_rng(5), []
        for _ in range(studies):
            score = rng.normal(size=72)
            times, events = followed(rng, np.exp(0.5 * score))
            found = proportional_hazards(np.ceil(times) if months else times, events, score).p
            wrong.append(found is not None and found < 0.05)
        setting = "72, months" if months else "72, days"
        yield Row("proportional hazards, that hold: P < 0.05", setting, None, 100 * float(np.mean(wrong)), most=7)


def bounds(depends: float, studies: int, cases: int = 94) -> Row:
    """Whether the AUC without censoring lies between the two extreme assumptions (before) or the bounds (after)."""
    rng, before, after = np.random.default_rng(2), [], []
    for _ in range(studies):
        score = rng.normal(size=cases)
        truth, censored = rng.exponential(8 * np.exp(0.5 * score)), rng.exponential(8 * np.exp(depends * score))
        times, events = np.minimum(truth, censored), truth <= censored
        benefit = times > LANDMARK
        known = benefit | events
        complete, limits = auc(truth > LANDMARK, score), auc_bounds(benefit, known, score)
        one, other = auc(benefit | ~known, score), auc(benefit, score)
        if complete is not None and limits is not None and one is not None and other is not None:
            before.append(min(one, other) <= complete <= max(one, other))
            after.append(limits[0] <= complete + 1e-12 and complete <= limits[1] + 1e-12)
    setting = f"{cases}, censoring by exp({depends:g} x score)"
    old, new = (100 * float(np.mean(held)) for held in (before, after))
    return Row("landmark AUC without censoring within limits", setting, old, new, least=100)


def _told(depends: float, studies: int) -> Row:
    rng, told = np.random.default_rng(4), []
    for _ in range(studies):
        score = rng.normal(size=94)
        truth, censored = rng.exponential(8, 94), rng.exponential(8 * np.exp(depends * score))
        found = landmark_benefit(np.minimum(truth, censored), truth <= censored, score, LANDMARK).censoring
        told.append(found is not None and found.p is not None and found.p < 0.05)
    limits = {"most": 8} if depends == 0 else {"least": 80}
    setting = f"94, censoring by exp({depends:g} x score)"
    return Row("censoring said to depend on the score", setting, None, 100 * float(np.mean(told)), **limits)


def _rate(studies: int) -> Row:
    rng, held, truth = np.random.default_rng(3), [], float(np.exp(-LANDMARK / 4.2))
    for _ in range(studies):
        curve = kaplan_meier(*followed(rng, np.ones(36)))
        at = np.searchsorted(curve.times, LANDMARK, side="right") - 1
        if 0 < curve.survival[at] < 1:
            held.append(curve.low[at] <= truth <= curve.high[at])
    return Row("rate of benefit, log-log interval", "36", None, 100 * float(np.mean(held)), least=93)


def _median(studies: int) -> Row:
    rng, held, truth = np.random.default_rng(7), [], 4.2 * np.log(2)
    for _ in range(studies):
        found = group_survival(*followed(rng, np.ones(36)))
        held.append((found.median_low or 0) <= truth <= (found.median_high or np.inf))
    return Row("median survival, log-log interval", "36", None, 100 * float(np.mean(held)), least=93)
