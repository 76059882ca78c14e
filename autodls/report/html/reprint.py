"""Tables that were saved with all their digits, printed again for people."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from autodls.evaluation.score_auc import OUT_OF_FOLD
from autodls.evaluation.shared_folds import meaning_of
from autodls.records.cells import read_number
from autodls.records.formatting import NONE, SHORTCUT_NOTES, added_p, counted, number, p_value, with_limits
from autodls.report.artefacts import Line
from autodls.report.drawn import Printed, unique_reasons
from autodls.report.naming import class_label, cohort_label, score_label
from autodls.report.tables.study import BY_OUTCOME, SMD_NOTE
from autodls.report.tables.withheld import printed_withheld

_SYMMETRIC = ("Welch t", "Welch ANOVA", "t", "ANOVA")  # these compare means, so the limits are mean -+ SD
_BEFORE_SIGNS = (
    "Made by an earlier version: P (likelihood ratio) is of either sign and too small out of fold, and gains over a "
    "baseline below 0.5 are inflated; run 'autodls evaluate' again."
)
_INSIDE = (
    ("resubstituted", "Apparent"),
    ("inner", "Early-stopping set"),
    ("out-of-fold by fold", "Out-of-fold, by fold"),
    ("out-of-fold", "Out-of-fold"),
)


def reprinted(name: str, lines: Sequence[Line]) -> Printed:
    """The table `name` as it is printed; one that is not known, or that lacks a column, with its cells as they are."""
    try:
        return _PRINTERS[name](lines)
    except (KeyError, ValueError):
        return Printed(name, tuple(lines[0]), tuple(tuple(line.values()) for line in lines))


def _baseline(lines: Sequence[Line], called: Callable[[str], str] = cohort_label) -> Printed:
    cohorts = {line["cohort"]: line["cohort_n"] for line in lines}
    printed: list[tuple[str, ...]] = []
    for _, group in groupby(lines, key=lambda line: line["variable"]):
        printed += _baseline_variable(list(group), list(cohorts))
    notes = ["Numbers are mean \N{PLUS-MINUS SIGN} SD where Welch's t or ANOVA compares them, else centre and limits."]
    notes += ["Counts are given with % of the known values.", SMD_NOTE]
    notes += [f"{line['variable']}: {line['reason']}" for line in lines if line["reason"]]
    head = ("Variable", *(f"{called(name)} (n = {n})" for name, n in cohorts.items()), "SMD", "P", "Test")
    return Printed("Baseline characteristics", head, tuple(printed), unique_reasons(notes))


def by_outcome(lines: Sequence[Line]) -> list[Printed]:
    """The baseline characteristics of each cohort, positives beside negatives."""
    tables = []
    for cohort, group in groupby(lines, key=lambda line: line["cohort"]):
        same = [{**line, "cohort": line["outcome"], "cohort_n": line["outcome_n"]} for line in group]
        tables.append(replace(_baseline(same, _class), title=f"{BY_OUTCOME}: {cohort_label(cohort)}"))
    return tables


def _class(name: str) -> str:
    return class_label(name == "positive") if name in {"positive", "negative"} else name


def _baseline_variable(lines: Sequence[Line], cohorts: Sequence[str]) -> list[tuple[str, ...]]:
    first = lines[0]
    ends = (number(read_number(first.get("smd", "")), 2), p_value(read_number(first["p"])), first["test"] or NONE)
    missing = {line["cohort"]: line["missing"] for line in lines}
    cells: dict[str, dict[str, str]] = {}
    for line in lines:
        cells.setdefault(line["level"], {})[line["cohort"]] = _baseline_cell(line)
    if first["kind"] == "numeric":
        printed = [(first["variable"], *(cells[""].get(name, NONE) for name in cohorts), *ends)]
    else:
        printed = [(first["variable"], *("" for _ in cohorts), *ends)]
        named = {level: held for level, held in cells.items() if level}
        printed += [
            (f"  {level}", *(held.get(name, NONE) for name in cohorts), "", "", "") for level, held in named.items()
        ]
    if any(count not in {"", "0"} for count in missing.values()):
        printed.append(("  missing", *(missing.get(name, NONE) for name in cohorts), "", "", ""))
    return printed


def _baseline_cell(line: Line) -> str:
    centre, low, high = (read_number(line[name]) for name in ("centre", "low", "high"))
    if line["kind"] != "numeric":
        known = int(line["cohort_n"]) - int(line["missing"])
        return counted(int(line["count"]), known)
    if centre is not None and high is not None and line["test"] in _SYMMETRIC:
        return f"{number(centre, 1)} \N{PLUS-MINUS SIGN} {number(high - centre, 1)}"
    return with_limits(centre, low, high, 1)


def _ledger(lines: Sequence[Line]) -> Printed:
    cohorts = list(dict.fromkeys(line["cohort"] for line in lines if line["where"] == "held-out"))
    places = [where for where, _ in _INSIDE]
    printed = []
    for score, group in groupby(lines, key=lambda line: line["score"]):
        held: dict[str, Line] = {}
        for line in group:
            held.setdefault(line["cohort"] if line["where"] == "held-out" else line["where"], line)
        inside = held.get("out-of-fold by fold", held["out-of-fold"])  # earlier versions saved pooled scores alone
        seen, unseen = _value(held["resubstituted"], "auc"), _value(inside, "auc")
        optimism = number(None if seen is None or unseen is None else seen - unseen)
        cells = (_interval(held[place]) if place in held else NONE for place in (*places, *cohorts))
        printed.append((score_label(score), *cells, optimism))
    notes = [
        "Apparent, early-stopping, by fold: mean AUC of the folds (lowest to highest). Out-of-fold, held-out: AUC "
        "(95% CI).",
        "Optimism: apparent less out-of-fold by fold. Only out-of-fold and held-out AUCs say how new patients fare.",
        *dict.fromkeys(meaning_of(line["interval"]) for line in lines if line["where"] == "out-of-fold"),
        *(f"{score_label(line['score'])}, {_where(line)}: {line['reason']}" for line in lines if line["reason"]),
    ]
    head = ("Score", *(title for _, title in _INSIDE), *map(cohort_label, cohorts), "Optimism")
    return Printed("Apparent against validated performance", head, tuple(printed), unique_reasons(notes))


def _shortcuts(lines: Sequence[Line]) -> Printed:
    printed = tuple(
        (
            line["baseline"],
            line["columns"],
            _interval(line),
            _interval(line, "delta", "delta_low", "delta_high"),
            p_value(_value(line, "delta_p")),
            added_p(_value(line, "lr_p"), read_number(line.get("lr_sign", ""))),
        )
        for line in lines
    )
    notes = [*SHORTCUT_NOTES] if all("lr_sign" in line for line in lines) else [_BEFORE_SIGNS]
    notes += [f"{line['baseline']}: {line['reason']}" for line in lines if line["reason"]]
    head = ("Baseline", "Columns", "AUC (95% CI)", "Gain of DLS (95% CI)", "P (DeLong)", "P (likelihood ratio), sign")
    return Printed("Shortcut baselines", head, printed, tuple(notes))


def is_below_chance(line: Line) -> bool:
    """Whether the gain over a baseline is the gain over 0.5, as that of one without information is."""
    auc = _value(line, "auc")
    return "lr_sign" in line and auc is not None and auc < 0.5


def _auc(lines: Sequence[Line]) -> Printed:
    printed = tuple(
        (cohort_label(line["cohort"]), score_label(line["row"]), line["n"], line["positives"], _interval(line),
         line["reason"])
        for line in lines
    )  # fmt: skip
    notes = tuple(dict.fromkeys(meaning_of(line["interval"]) for line in lines if line["cohort"] == OUT_OF_FOLD))
    return Printed("AUC of every score", ("Cohort", "Score", "n", "Positive", "AUC (95% CI)", "Remark"), printed, notes)


def _where(line: Line) -> str:
    return cohort_label(line["cohort"]) if line["cohort"] else line["where"]


def _value(line: Line, column: str) -> float | None:
    return read_number(line[column])


def _interval(line: Line, value: str = "auc", low: str = "low", high: str = "high") -> str:
    return with_limits(_value(line, value), _value(line, low), _value(line, high))


_PRINTERS: Mapping[str, Callable[[Sequence[Line]], Printed]] = {
    "auc": _auc,
    "baseline": _baseline,
    "ledger": _ledger,
    "shortcuts": _shortcuts,
    "withheld": printed_withheld,
}
