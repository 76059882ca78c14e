"""Cohorts, performance, survival, apparent performance: tables and figures of the evaluation."""

from collections.abc import Callable, Sequence

from autodls.evaluation.metrics_record import Metrics
from autodls.report.artefacts import ARTEFACTS, TABLES, Artefacts
from autodls.report.captions import CAPTIONS, numbers_of, stand_ins
from autodls.report.drawn import ReportTable
from autodls.report.html.page import Markup, Section, absent, bullets, el, figure, joined, paragraph, printed_table
from autodls.report.html.reprint import by_outcome, reprinted
from autodls.report.sentences import calibration, classification, discrimination, landmark
from autodls.report.sentences import survival as in_words
from autodls.report.tables.folds import fold_table
from autodls.report.tables.patterns import pattern_table
from autodls.report.tables.study import comparison_table, performance_table
from autodls.report.tables.survival import landmark_table, survival_table

OUTCOMES = "baseline_by_outcome"
_WITHHELD = "withheld"
_SHOWN_ELSEWHERE = frozenset({*TABLES, _WITHHELD, "tumour_volume"})  # volumes: measured once, for no reader
_OF_OTHERS = ("rois_", "images_", "candidates", "learning_curve")  # they have chapters of their own


def cohorts(study: Artefacts) -> Section:
    """Who entered the study, and Table 1."""
    body = [drawn(study, "cohort_flow")]
    if study.of_table is None:
        body.append(saved(study, "baseline"))
    if lines := study.tables.get(OUTCOMES):
        body += [printed_table(printed, f"{study.place}tables/{OUTCOMES}.csv") for printed in by_outcome(lines)]
    return Section("cohorts", "Cohorts", joined(body))


def performance(study: Artefacts) -> Section:
    """Discrimination, classification, calibration and net benefit."""
    body = [
        *_told([*discrimination(study), *classification(study), *calibration(study)]),
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


def _told(sentences: Sequence[str]) -> list[Markup]:
    return [bullets(sentences)] if sentences else []


def _has_folds(study: Artefacts) -> bool:
    """Metrics of older versions do not hold the folds."""
    return study.metrics is None or any(cohort.folds for cohort in study.metrics.cohorts.values())


def _has_patterns(study: Artefacts) -> bool:
    return study.metrics is not None and any(cohort.patterns for cohort in study.metrics.cohorts.values())


def survival(study: Artefacts) -> Section | None:
    """Follow-up by group; None where the study has no follow-up."""
    if study.metrics is None or not any(cohort.survival for cohort in study.metrics.cohorts.values()):
        return None
    told = _told([*in_words(study), *landmark(study)])
    body = [*told, drawn(study, "kaplan_meier"), computed(study, survival_table, "survival")]
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
    if name not in study.figures and study.of_table is not None:  # the scores do not allow it, and the tables say why
        return Markup("")
    if name not in study.figures:
        return absent(ARTEFACTS[f"figure:{name}"])
    alt, caption = CAPTIONS[name]
    return figure(study.figures[name], alt, f"{caption} {numbers_of(name, study.place)}{stand_ins(study)}")


def saved(study: Artefacts, name: str) -> Markup:
    """The saved table `name`, or which command makes it."""
    if name not in study.tables:
        return absent(ARTEFACTS[f"table:{name}"])
    return printed_table(reprinted(name, study.tables[name]), f"{study.place}tables/{name}.csv")


def computed(study: Artefacts, make: Callable[[Metrics], ReportTable], name: str) -> Markup:
    """A table made from the metrics."""
    if study.metrics is None:
        return absent(ARTEFACTS["metrics"])
    source = f"{study.place}tables/{name}.csv" if name in study.tables else f"{study.place}metrics.json"
    table = make(study.metrics).printed
    return printed_table(table, source) if table.lines else paragraph(f"{table.title}: there is nothing to show.")
