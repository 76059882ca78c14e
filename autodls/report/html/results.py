"""Cohorts, performance, survival, apparent performance: tables and figures of the evaluation."""

from collections.abc import Callable

from autodls.evaluation.metrics_record import Metrics
from autodls.report.artefacts import ARTEFACTS, TABLES, Artefacts
from autodls.report.drawn import ReportTable
from autodls.report.figures.lettering import told_of
from autodls.report.html.page import Markup, Section, absent, el, figure, joined, paragraph, printed_table
from autodls.report.html.reprint import by_outcome, reprinted
from autodls.report.tables.folds import fold_table
from autodls.report.tables.patterns import pattern_table
from autodls.report.tables.study import comparison_table, performance_table
from autodls.report.tables.survival import landmark_table, survival_table

_FIGURES = {
    "cohort_flow": (
        "Flow of cases from the table of the dataset to the cohorts that are analysed.",
        "Cohort flow: cases in the table, cases left out with the reason, and the cohorts.",
    ),
    "roc": (
        "ROC curves of every score in every cohort; the AUCs stand in the table of performance.",
        "ROC curves with AUC (95% CI); the point marks the locked cut-off.",
    ),
    "calibration": (
        "Observed share of positive cases against the score, with the distribution of the scores.",
        "Calibration: a score that means what it says lies on the diagonal. Points are groups of cases with Wilson's "
        "interval, the curve a local regression (lowess) with a bootstrap band. Out of fold each fold is recalibrated "
        "on the other folds, since on its own scores the locked recalibration has slope 1 by construction.",
    ),
    "decision_curve": (
        "Net benefit against the threshold probability, beside treating all and treating none.",
        "Decision curves: the score helps where its curve lies above both treating all and treating none. Drawn from "
        "half the least to twice the greatest prevalence (at most 0.8), where a threshold is plausible; the band is of "
        "each threshold by itself and ends where fewer than ten patients are called. Out of fold each fold is "
        "recalibrated on the other folds.",
    ),
    "kaplan_meier": (
        "Kaplan-Meier curves of the groups above and below the cut-off, with numbers at risk.",
        "Kaplan-Meier curves by the locked cut-off, with numbers at risk, medians (NR: not reached), median follow-up "
        "(reverse Kaplan-Meier), hazard ratio and log-rank P.",
    ),
}
OUTCOMES = "baseline_by_outcome"
_WITHHELD = "withheld"
_SHOWN_ELSEWHERE = frozenset({*TABLES, _WITHHELD, "tumour_volume"})  # volumes: measured once, for no reader
_OF_OTHERS = ("rois_", "candidates")  # they have chapters of their own


def cohorts(study: Artefacts) -> Section:
    """Who entered the study, and Table 1."""
    body = [drawn(study, "cohort_flow"), saved(study, "baseline")]
    if lines := study.tables.get(OUTCOMES):
        body += [printed_table(printed, f"results/tables/{OUTCOMES}.csv") for printed in by_outcome(lines)]
    return Section("cohorts", "Cohorts", joined(body))


def performance(study: Artefacts) -> Section:
    """Discrimination, classification, calibration and net benefit."""
    body = [
        computed(study, performance_table, "performance"),
        drawn(study, "roc"),
        computed(study, comparison_table, "comparisons"),
        *([computed(study, fold_table, "folds")] if _has_folds(study) else []),
        *([computed(study, pattern_table, "sequences")] if _has_patterns(study) else []),
        *([saved(study, _WITHHELD)] if _WITHHELD in study.tables else []),
        drawn(study, "calibration"),
        drawn(study, "decision_curve"),
    ]
    return Section("performance", "Performance", joined(body))


def _has_folds(study: Artefacts) -> bool:
    """Metrics of older versions do not hold the folds."""
    return study.metrics is None or any(cohort.folds for cohort in study.metrics.cohorts.values())


def _has_patterns(study: Artefacts) -> bool:
    return study.metrics is not None and any(cohort.patterns for cohort in study.metrics.cohorts.values())


def survival(study: Artefacts) -> Section | None:
    """Follow-up by group; None where the study has no follow-up."""
    if study.metrics is None or not any(cohort.survival for cohort in study.metrics.cohorts.values()):
        return None
    body = [drawn(study, "kaplan_meier"), computed(study, survival_table, "survival")]
    if any(cohort.landmark for cohort in study.metrics.cohorts.values()):
        body.append(computed(study, landmark_table, "landmark"))
    return Section("survival", "Survival", joined(body))


def apparent(study: Artefacts) -> Section:
    """How much of the AUC is optimism, and how much is to be had without the images."""
    body = [
        paragraph(
            "Scores look best on the cases that made them. What falls from left to right in the table was optimism; "
            "only its out-of-fold and held-out columns tell how the score does on new patients."
        ),
        saved(study, "ledger"),
        paragraph("What tumour volume, clinical variables or the site reach by themselves, on the same folds."),
        saved(study, "shortcuts"),
    ]
    others = [name for name in study.tables if name not in _SHOWN_ELSEWHERE and not name.startswith(_OF_OTHERS)]
    if others:
        body += [el("h3", "Other tables"), *(saved(study, name) for name in others)]
    return Section("optimism", "Optimism and shortcuts", joined(body))


def drawn(study: Artefacts, name: str) -> Markup:
    """The figure `name`, or which command draws it."""
    if name not in study.figures:
        return absent(ARTEFACTS[f"figure:{name}"])
    alt, caption = _FIGURES[name]
    return figure(study.figures[name], alt, f"{caption} Numbers: results/figures/{name}.csv.{_stand_ins(study)}")


def _stand_ins(study: Artefacts) -> str:
    """Which name the figures show in place of one that no font could draw."""
    told = told_of(study.metrics.warnings if study.metrics is not None else ())
    return "".join(f" In the figure, '{shown}' is {name}." for name, shown in told.items())


def saved(study: Artefacts, name: str) -> Markup:
    """The saved table `name`, or which command makes it."""
    if name not in study.tables:
        return absent(ARTEFACTS[f"table:{name}"])
    return printed_table(reprinted(name, study.tables[name]), f"results/tables/{name}.csv")


def computed(study: Artefacts, make: Callable[[Metrics], ReportTable], name: str) -> Markup:
    """A table made from the metrics."""
    if study.metrics is None:
        return absent(ARTEFACTS["metrics"])
    source = f"results/tables/{name}.csv" if name in study.tables else "results/metrics.json"
    table = make(study.metrics).printed
    return printed_table(table, source) if table.lines else paragraph(f"{table.title}: there is nothing to show.")
