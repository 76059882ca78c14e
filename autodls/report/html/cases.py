"""Case by case: the cut-off to move, every score, and the heat maps."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from autodls.evaluation.binary import confusion_at, proportions, youden_cutoff
from autodls.evaluation.score_auc import OUT_OF_FOLD
from autodls.inference.model_caveats import caveats_of
from autodls.preprocessing.shown import LEFT_OUT
from autodls.records.formatting import NONE, estimate, number
from autodls.records.scores import FUSED
from autodls.records.training_log import told_of
from autodls.records.words import plural
from autodls.report.artefacts import ARTEFACTS, Artefacts, ReportedCase
from autodls.report.html.page import (
    Attribute,
    Markup,
    Section,
    absent,
    data_table,
    el,
    filter_box,
    joined,
    paragraph,
    shown_cell,
)
from autodls.report.naming import class_label, cohort_label, sequence_label

_OUTCOMES = {
    (True, True): "true positive",
    (False, True): "false positive",
    (True, False): "false negative",
    (False, False): "true negative",
}
_RATES = {
    "sensitivity": "Sensitivity", "specificity": "Specificity", "ppv": "PPV", "npv": "NPV", "accuracy": "Accuracy",
}  # fmt: skip
_WIDTH, _HEIGHT, _LEFT, _RIGHT = 800, 226, 24, 776
_LEVELS = {True: 62, False: 150}
_JITTER = 24
_PRESENT = "present"  # of the columns, the one with the sequences that a case has
_AXIS = 192


def explorer(study: Artefacts) -> Section:
    """The out-of-fold scores with a cut-off to move, and what it would mean."""
    title, key = "Move the cut-off", "cutoff"
    cases = _judged(study)
    if not cases:
        return Section(key, title, absent(ARTEFACTS["out_of_fold"]))
    cutoff = _cutoff(study, cases)
    low, high = _range(cases)
    doubt = _why_no_interval(study)
    rates = _rates_table(cases, cutoff, _interval_of(study), doubt)
    body = [
        paragraph(
            "Out-of-fold scores of the training cohort. Numbers follow the cut-off as you move it (also with the arrow "
            "keys). The locked cut-off follows a rule that was fixed beforehand: any other one that you pick here is "
            "chosen on these very cases, so its numbers are optimistic and their intervals too narrow."
        ),
        el(
            "div",
            _strip(cases, cutoff, (low, high)),
            _slider(low, high, cutoff),
            el("div", rates, _confusion_table(cases, cutoff), class_="pair"),
            class_="explorer",
            data_plain=doubt is not None,
            data_explorer=True,
            data_locked=repr(cutoff),
        ),
    ]
    return Section(key, title, joined(body))


def scores(study: Artefacts) -> Section:
    """Every case with its score and its call."""
    title, key = "Scores of all cases", "cases"
    cases = [*study.out_of_fold, *(case for held in study.held_out.values() for case in held)]
    if not cases:
        return Section(key, title, absent(ARTEFACTS["out_of_fold"]))
    judged = _judged(study)
    cutoff = _cutoff(study, judged) if judged or study.model else None
    extra = _extra_columns(study, cases)
    unseen = len(study.out_of_fold)
    body = [
        paragraph(
            "Training cases by the fold that did not see them, cases of held-out cohorts by the locked ensemble. "
            "A heading sorts; type 'false' to see all wrong calls."
        ),
        _unscored(cases),
        _flagged(study, cases),
        filter_box("Show cases with", "scores"),
        data_table(
            "Scores",
            ("Case", "Fold or cohort", "Label", "Score", "Call", "Outcome", *map(sequence_label, extra)),
            [(*_line(case, cutoff), *(_extra_cell(case, name) for name in extra)) for case in cases],
            key="scores",
            sortable=True,
            attributes=lambda at: _attributes(cases[at]) if at < unseen else {},
        ),
    ]
    return Section(key, title, joined(body))


def _unscored(cases: Sequence[ReportedCase]) -> Markup:
    """How many cases have no score."""
    count = sum(case.score is None for case in cases)
    return paragraph(f"{count} of {len(cases)} cases could not be scored.") if count else Markup("")


def _flagged(study: Artefacts, cases: Sequence[ReportedCase]) -> Markup:
    """What a person should know of single scores, such as a doubtful automatic ROI.

    What holds of a whole fold or of the model is left out: it is told of them, and would hide what is said of a case.
    """
    judged = [(fold, one.judgement) for fold, stages in study.logs.items() for one in stages if one.judgement]
    common = {told_of(judgement.stage, fold, judgement.why) for fold, judgement in judged}
    common |= set(caveats_of(study.model) if study.model is not None else ())
    own = [[flag for flag in case.cells.get("flags", "").split("; ") if flag not in common] for case in cases]
    lines = [(case.case, _group(case), "; ".join(found)) for case, found in zip(cases, own, strict=True) if any(found)]
    if not lines:
        return Markup("")
    scored = sum(case.score is not None for case in cases)
    said = f"Flagged: {len(lines)} of {plural(scored, 'score')}. Look at these cases before you rely on their scores."
    cut = sum(any(flag.startswith(LEFT_OUT) for flag in found) for found in own)
    if cut:
        said += f" In {cut} of {len(cases)} cases the pictures leave tumour out: the networks do not see all of it."
    return joined([paragraph(said), data_table("Flagged scores", ("Case", "Fold or cohort", "Flags"), lines)])


def _judged(study: Artefacts) -> list[ReportedCase]:
    return [case for case in study.out_of_fold if case.score is not None and case.label is not None]


def _arrays(cases: Sequence[ReportedCase]) -> tuple[list[bool], list[float]]:
    return [bool(case.label) for case in cases], [case.score or 0.0 for case in cases]


def _cutoff(study: Artefacts, cases: Sequence[ReportedCase]) -> float:
    """The locked one; before there is a model, Youden's; 0.5 where there is one class."""
    if study.model is not None:
        return study.model.cutoff
    chosen = youden_cutoff(*_arrays(cases))
    return 0.5 if chosen is None else chosen


def _range(cases: Sequence[ReportedCase]) -> tuple[float, float]:
    values = _arrays(cases)[1]
    return min(0.0, *values), max(1.0, *values)


def _strip(cases: Sequence[ReportedCase], cutoff: float, limits: tuple[float, float]) -> Markup:
    """A dot a case, positives above negatives, and the cut-off as a line."""
    at, (low, high) = _place(cutoff, limits), limits
    ends = {"data_left": _LEFT, "data_right": _RIGHT, "data_low": low, "data_high": high}
    line = el("line", x1=at, x2=at, y1=28, y2=_AXIS, class_="cut", **ends)
    alt = "Scores of positive and of negative cases on a line, with the cut-off."
    box = f"0 0 {_WIDTH} {_HEIGHT}"
    parts = (*_axis(limits), *_dots(cases, limits), line)
    return el("svg", *parts, viewBox=box, role="img", aria_label=alt, class_="strip")


def _place(value: float, limits: tuple[float, float]) -> float:
    low, high = limits
    return round(_LEFT + (_RIGHT - _LEFT) * (value - low) / (high - low), 2)


def _axis(limits: tuple[float, float]) -> Iterator[Markup]:
    yield el("line", x1=_LEFT, x2=_RIGHT, y1=_AXIS, y2=_AXIS, class_="axis")
    for value in np.linspace(*limits, 5).tolist():
        yield el("text", f"{value:.3g}", x=_place(value, limits), y=_AXIS + 26, text_anchor="middle")
    for side, level in _LEVELS.items():
        yield el("text", f"{class_label(side)} cases", x=4, y=level - 38)


def _dots(cases: Sequence[ReportedCase], limits: tuple[float, float]) -> Iterator[Markup]:
    """Neighbours stand on seven levels, so that they do not hide each other."""
    shifts = np.linspace(-_JITTER, _JITTER, 7).tolist()
    for at, case in enumerate(cases):
        level = round(_LEVELS[bool(case.label)] + shifts[at * 3 % 7], 2)
        side = "dot-positive" if case.label else "dot-negative"
        yield el("circle", cx=_place(case.score or 0.0, limits), cy=level, class_=side)


def _slider(low: float, high: float, cutoff: float) -> Markup:
    slider = el("input", type="range", id="cutoff-slider", min=low, max=high, step=0.001, value=cutoff)
    buttons = {
        "locked": "Locked cut-off",
        "sensitive": "Sensitivity \N{GREATER-THAN OR EQUAL TO} 90%",
        "specific": "Specificity \N{GREATER-THAN OR EQUAL TO} 90%",
    }
    return joined(
        [
            el("p", el("label", "Cut-off", for_="cutoff-slider"), slider, class_="controls slide"),
            el(
                "p",
                *(el("button", text, type="button", data_cut=name) for name, text in buttons.items()),
                class_="controls",
            ),
        ]
    )


def _show(name: str, text: str) -> Markup:
    return el("span", text, data_show=name)


def _why_no_interval(study: Artefacts) -> str | None:
    """Why Wilson's intervals, which the page counts anew, are not those of metrics.json; None where they are."""
    cohort = study.metrics.cohorts.get(OUT_OF_FOLD) if study.metrics else None
    clustered = study.model is not None and study.model.training_patients is not None
    if clustered or (cohort is not None and cohort.patients is not None and cohort.patients < cohort.n):
        return "several cases a patient"
    held = cohort.scores.get(FUSED) if cohort is not None else None
    if held is not None and any(getattr(held, name).method == "wilson-own-cutoff" for name in _RATES):
        return "the locked cut-off was chosen on these scores; see the table of performance"
    return None


def _interval_of(study: Artefacts) -> str:
    """What the intervals are of, where there are some: before `evaluate`, nothing says that Wilson's hold."""
    known = study.metrics is not None and OUT_OF_FOLD in study.metrics.cohorts
    return "Wilson" if known else "Wilson: of independent cases, at a cut-off that was fixed beforehand"


def _rates_table(cases: Sequence[ReportedCase], cutoff: float, interval: str, doubt: str | None) -> Markup:
    """The rates with their `interval`, or, where there is a `doubt`, without."""
    rates = proportions(confusion_at(*_arrays(cases), cutoff))
    shown = {name: estimate(rate) if doubt is None else number(rate.value) for name, rate in rates.items()}
    lines = [("Cut-off", _show("cutoff", f"{cutoff:.3f}"))]
    lines += [(title, _show(name, shown[name])) for name, title in _RATES.items()]
    value = f"Value (95% CI, {interval})" if doubt is None else f"Value (no interval: {doubt})"
    return data_table("At this cut-off", ("Quantity", value), lines, class_="numbers")


def _confusion_table(cases: Sequence[ReportedCase], cutoff: float) -> Markup:
    found = confusion_at(*_arrays(cases), cutoff)
    lines = [
        ("called positive", _show("tp", str(found.tp)), _show("fp", str(found.fp))),
        ("called negative", _show("fn", str(found.fn)), _show("tn", str(found.tn))),
    ]
    return data_table("Cases", ("Call", class_label(True), class_label(False)), lines, class_="numbers")


def _extra_columns(study: Artefacts, cases: Sequence[ReportedCase]) -> list[str]:
    sequences = study.plan.sequences if study.plan else ()
    found = [name for name in (*sequences, _PRESENT, "rois") if any(name in case.cells for case in cases)]
    return [*found, *(["failed"] if any(case.cells.get("failed") for case in cases) else [])]


def _extra_cell(case: ReportedCase, name: str) -> str:
    cell = case.cells.get(name, "")
    return ", ".join(map(sequence_label, cell.split())) if name == _PRESENT else shown_cell(cell)


def _group(case: ReportedCase) -> str:
    """The fold as it is, the cohort by its label: a cohort may have the name of a fold."""
    return case.group if "fold" in case.cells else cohort_label(case.group)


def _line(case: ReportedCase, cutoff: float | None) -> Iterator[str]:
    label = "" if case.label is None else class_label(case.label)
    called = None if case.score is None or cutoff is None else case.score >= cutoff
    yield from (case.case, _group(case), label, number(case.score))
    yield NONE if called is None else class_label(called)
    yield NONE if called is None or case.label is None else _OUTCOMES[case.label, called]


def _attributes(case: ReportedCase) -> Mapping[str, Attribute]:
    if case.score is None or case.label is None:
        return {}
    return {"data_score": repr(case.score), "data_positive": int(case.label)}
