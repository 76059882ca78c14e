"""Results as sentences, which every form of the report shares: each number is that of the metrics, as tables print it.

A number that cannot be had is named with its reason; what a study does not have gives no sentence.
"""

from collections.abc import Iterator

from autodls.analysis.candidate_card import needs
from autodls.evaluation.caveats import OF_SINGLE_FOLDS
from autodls.evaluation.metrics_record import CohortMetrics
from autodls.evaluation.results import Calibration, Estimate, HazardRatio, Landmark, ScoreMetrics, Survival
from autodls.evaluation.score_auc import OUT_OF_FOLD
from autodls.records.formatting import NOT_REACHED, Interval, estimate, in_text, number, p_equation, with_ci
from autodls.records.locked_candidate import LockedCandidate
from autodls.records.words import plural
from autodls.report.artefacts import Artefacts
from autodls.report.html.reprint import is_below_chance, reprinted
from autodls.report.naming import cohort_label, score_label, unit_label
from autodls.report.tables.study import cutoff_rule
from autodls.report.tables.survival import hazard_ratio, printed_group

_GROUPS = {"low": "below the cut-off", "high": "at or above it"}


def discrimination(study: Artefacts) -> list[str]:
    """The AUC of the first score in every cohort that the model had not seen."""
    texts = []
    for name, cohort, held in _unseen(study):
        start = f"{_capital(_where(study, name))} ({_cases(cohort, held)}), the AUC of {_reference(study)}"
        texts.append(f"{start} {_was(held.auc, held.auc.reason)}.")
    return texts


def comparisons(study: Artefacts) -> list[str]:
    """The first score against each other one, on the same cases."""
    texts = []
    for name, cohort, _ in _unseen(study):
        pairs = [pair for pair in cohort.comparisons if pair.a == _first(study) and pair.delta is not None]
        said = [
            f"{_delta(pair.delta, pair.low, pair.high, pair.p_holm)} against {score_label(pair.b)}" for pair in pairs
        ]
        if said:
            less = f"the AUC of {_reference(study)} less that of another score was {_list(said)}"
            texts.append(f"{_capital(_where(study, name))}, {less}.")
    return texts


def calibration(study: Artefacts) -> list[str]:
    """Slope, calibration in the large and Brier score of the first score."""
    return [
        f"{_capital(_where(study, name))}, {_calibration(held)}"
        for name, cohort, held in _unseen(study)
        if cohort.positives is not None
    ]


def classification(study: Artefacts) -> list[str]:
    """The rates of the first score at its cut-off, with the counts that they are of."""
    texts = []
    for name, _, held in _unseen(study):
        if held.cutoff.value is None or held.confusion is None:
            continue
        at = f"{_capital(_where(study, name))}, at the cut-off of {number(held.cutoff.value)} ({cutoff_rule(held)})"
        own = " That cut-off was chosen on these very scores." if held.cutoff.own else ""
        if held.sensitivity.method == "wilson-own-cutoff":  # whose limits need not hold the share itself
            own = f"{own.removesuffix('.')}; the limits are of shares less what choosing has gained."
        of_folds = f" {_capital(OF_SINGLE_FOLDS)}." if name == OUT_OF_FOLD else ""
        texts.append(f"{at}, {_reference(study)} had {_list(_rates(held))}.{own}{of_folds}")
    return texts


def survival(study: Artefacts) -> list[str]:
    """Events, hazard ratios and tests of the groups of the first score, then per standard deviation of it."""
    unit = _unit(study)
    return [
        text
        for name, cohort, _ in _unseen(study)
        if cohort.survival is not None
        for text in _survival(_where(study, name), cohort.survival, unit)
    ]


def landmark(study: Artefacts) -> list[str]:
    """What the first score says of who benefits beyond the landmark."""
    unit = _unit(study)
    return [
        text
        for name, cohort, _ in _unseen(study)
        if cohort.landmark is not None
        for text in _landmark(_where(study, name), cohort.landmark, unit)
    ]


def shortcuts(study: Artefacts) -> list[str]:
    """What is to be had without the images, as the table of shortcut baselines prints it."""
    lines = study.tables.get("shortcuts")
    printed = reprinted("shortcuts", lines) if lines else None
    if printed is None or len(printed.header) < 4 or printed.header[0] != "Baseline":
        return []
    texts = []
    for line, (name, columns, auc, gain, *_) in zip(lines or (), printed.lines, strict=True):
        below, over = (", below chance", " over chance") if is_below_chance(line) else ("", "")
        texts.append(
            f"Logistic regression on {columns} ({name}) had an out-of-fold AUC of {with_ci(auc)}{below}; the gain of "
            f"the score{over} was {with_ci(gain)}."
        )
    return texts


def locked_candidate(record: LockedCandidate) -> str:
    """What was locked, how it does, and what it needs."""
    auc = Estimate.model_validate(record.out_of_fold_auc)
    return (
        f"'{record.candidate}' ({record.setting}), out-of-fold AUC {estimate(auc)}; high at or above "
        f"{record.cutoff:.3f} ({record.cutoff_source}). It needs: {'; '.join(needs(record))}."
    )


def _unseen(study: Artefacts) -> Iterator[tuple[str, CohortMetrics, ScoreMetrics]]:
    if study.metrics is not None:
        for name in study.unseen_cohorts:
            cohort = study.metrics.cohorts[name]
            yield name, cohort, cohort.scores[study.metrics.reference]


def _reference(study: Artefacts) -> str:
    return "" if study.metrics is None else score_label(study.metrics.reference)


def _first(study: Artefacts) -> str:
    return "" if study.metrics is None else study.metrics.reference


def _where(study: Artefacts, cohort: str) -> str:
    if cohort == OUT_OF_FOLD:
        return "in the training cohort, out of fold"
    return f"in the {'held-out cohort' if study.of_table is None else 'cohort'} {cohort_label(cohort)}"


def _cases(cohort: CohortMetrics, held: ScoreMetrics) -> str:
    n, positives = (cohort.n, cohort.positives) if held.n is None else (held.n, held.positives)
    told = "without labels" if positives is None else f"{positives} positive"
    if n != cohort.n:  # of how many patients these are, the metrics do not say
        return f"{n} of {plural(cohort.n, 'case')}, {told}"
    several = f" of {plural(cohort.patients, 'patient')}" if cohort.patients not in (None, cohort.n) else ""
    return f"{plural(n, 'case')}{several}, {told}"


def _was(interval: Interval, reason: str | None) -> str:
    """The verb with the estimate, or with what keeps it, or its limits, from being had."""
    if interval.value is None:
        return f"is not known: {reason or 'there is no such number'}"
    return f"was {in_text(interval)}{_no_limits(interval, reason)}"


def _no_limits(interval: Interval, reason: str | None) -> str:
    return f", without an interval ({reason})" if interval.low is None and reason else ""


def _delta(delta: float | None, low: float | None, high: float | None, p: float | None) -> str:
    said = in_text(Estimate(value=delta, low=low, high=high))
    return _with_more(said, [] if p is None else [f"{p_equation(p)}, Holm"])


def _with_more(said: str, more: list[str]) -> str:
    """An estimate with more in its brackets."""
    told = "; ".join(more)
    if not told:
        return said
    return f"{said[:-1]}; {told})" if said.endswith(")") else f"{said} ({told})"


def _calibration(held: ScoreMetrics) -> str:
    found = held.calibration
    parts = []
    if found.slope is not None:
        slope = Estimate(value=found.slope, low=found.slope_low, high=found.slope_high)
        large = Estimate(value=found.intercept_large, low=found.intercept_large_low, high=found.intercept_large_high)
        parts += [f"the calibration slope was {in_text(slope, 2)}", f"calibration in the large {in_text(large, 2)}"]
    else:
        parts.append(f"the calibration slope is not known: {found.reason or 'there is no such number'}")
    if held.brier is not None:
        scaled = [] if held.brier_scaled is None else [f"scaled {number(held.brier_scaled)}"]
        brier = in_text(held.brier_interval or Estimate(value=held.brier))
        parts.append(f"the Brier score {_with_more(brier, scaled)}")
    return f"{_list(parts)}{_how(found)}."


def _how(found: Calibration) -> str:
    return ", each fold judged by a recalibration fitted on the others" if found.cross_fitted else ""


def _rates(held: ScoreMetrics) -> list[str]:
    found = held.confusion
    if found is None:
        return []
    of = {
        "a sensitivity": (held.sensitivity, found.tp, found.tp + found.fn),
        "a specificity": (held.specificity, found.tn, found.tn + found.fp),
        "a positive predictive value": (held.ppv, found.tp, found.tp + found.fp),
        "a negative predictive value": (held.npv, found.tn, found.tn + found.fn),
        "an accuracy": (held.accuracy, found.tp + found.tn, found.tp + found.fp + found.fn + found.tn),
    }
    return [
        f"{name} of {in_text(rate)}, {count} of {total}" if rate.value is not None else f"no {name.split(' ', 1)[1]}"
        for name, (rate, count, total) in of.items()
    ]


def _survival(place: str, found: Survival, unit: str) -> Iterator[str]:
    groups = []
    for group, where in _GROUPS.items():
        if group in found.groups:
            events, median = printed_group(found.groups[group])
            groups.append(f"{events} patients {where} had an event, {_median(median, unit)}")
    if groups:
        follow_up = found.median_follow_up
        told = f", over a median follow-up of {number(follow_up, 1)}{unit}" if follow_up is not None else ""
        yield f"{_capital(place)}{told}, {_list(groups)}."
    tests = [f"log-rank {p_equation(found.logrank.p)}"] if found.logrank.p is not None else []
    if found.proportional_hazards.p is not None:
        tests.append(f"test of proportional hazards {p_equation(found.proportional_hazards.p)}")
    start = "The" if groups else f"{_capital(place)}, the"
    yield f"{start} hazard ratio, high over low, {_ratio(found.cox, tests)}."
    if found.cox_per_sd is not None:
        yield f"Without a cut-off, per standard deviation of the score, it {_ratio(found.cox_per_sd, [])}."


def _median(printed: str, unit: str) -> str:
    value, _, limits = printed.partition(" ")
    return f"median {'not reached' if value == NOT_REACHED else value + unit}{with_ci(f' {limits}')}"


def _ratio(found: HazardRatio, tests: list[str]) -> str:
    if found.hr is None:
        return f"is not known: {found.reason or 'there is no such number'}"
    told = [p_equation(found.p)] if found.p is not None else []
    firth = ["Firth's penalised likelihood"] if found.method == "firth-profile" else []
    return f"was {_with_more(with_ci(hazard_ratio(found)), [*told, *firth, *tests])}"


def _landmark(place: str, mark: Landmark, unit: str) -> Iterator[str]:
    where = f"{_capital(place)}, beyond {mark.time:g}{unit}"
    if mark.reason:
        yield f"{where}, nothing can be said: {mark.reason}."
        return
    rate = mark.rate_km_interval or Estimate(value=mark.rate_km)
    auc = mark.auc_ipcw_interval or Estimate(value=mark.auc_ipcw)
    yield (
        f"{where}, the rate of benefit {_was(rate, rate.reason)}, and the AUC, weighted by the inverse probability of "
        f"not being censored, {_was(auc, auc.reason)}; undetermined, as censored by then: "
        f"{plural(mark.undetermined, 'patient')}."
    )


def _unit(study: Artefacts) -> str:
    columns = study.description.autodls.survival if study.description is not None else None
    unit = unit_label(columns.unit if columns is not None else "")
    return f" {unit}" if unit else ""


def _list(parts: list[str]) -> str:
    """The parts, joined; by semicolons, as some have commas."""
    return "; ".join(parts)


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"
