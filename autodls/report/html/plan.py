"""The plan with its reasons, and the reporting checklists."""

import json
from collections.abc import Collection, Iterator, Mapping

from autodls.records.plan import Plan
from autodls.report.artefacts import ARTEFACTS, Artefacts
from autodls.report.checklists.filled import (
    CHECKLISTS,
    STATES,
    Answer,
    Checklist,
    State,
    answers,
    counts,
    extent,
    read_checklist,
)
from autodls.report.html.page import Markup, Section, absent, data_table, el, filter_box, joined, paragraph

_APART = ("reasons", "derived", "expectation", "format")


def plan(study: Artefacts) -> Section:
    """Every setting with the sentence that says why."""
    if study.plan is None:
        return Section("plan", "Plan", absent(ARTEFACTS["plan"]))
    content = study.plan.model_dump(mode="json", exclude=set(_APART), exclude_none=True)
    reasons = study.plan.told_reasons
    lines = [(name, text, reasons.get(name, "")) for name, text in _flat(content, reasons)]
    lines.append(("expectation", "", study.plan.expectation.statement))
    body = [
        paragraph(_origin(study, study.plan)),
        filter_box("Show settings with", "plan-table"),
        data_table("Plan", ("Setting", "Value", "Reason"), lines, key="plan-table", class_="reasons"),
    ]
    return Section("plan", "Plan and its reasons", joined(body))


def _origin(study: Artefacts, plan: Plan) -> str:
    """Whose settings these are, and who chose them."""
    whose = "of the locked model" if "plan" in study.paths else "of the plan"
    text = f"Every setting {whose}, and the sentence by which the planner chose it"
    if not plan.derived:
        return f"{text}. The plan is of a version that did not record which values were set by hand."
    return f"{text}, or that it was set by hand: {', '.join(plan.by_hand) or 'none was'}."


def checklists(study: Artefacts) -> Section:
    """TRIPOD+AI, CLAIM and METRICS, item by item."""
    intro = paragraph(
        "Filled in from the files of this run, which each answer names. Where only an author can answer, it says ",
        _badge("author"), ". Nothing is ticked that the run does not show; check every item before submission.",
    )  # fmt: skip
    parts = [_checklist(name, read_checklist(name), study) for name in CHECKLISTS]
    return Section("checklists", "Reporting checklists", joined([intro, *parts]))


def _checklist(name: str, checklist: Checklist, study: Artefacts) -> Markup:
    found = answers(checklist, study)
    key = f"checklist-{name.replace('_', '-')}"
    title = f"{checklist.name} ({checklist.year})"
    return joined(
        [
            el("h3", title),
            paragraph(f"{checklist.source}. doi:{checklist.doi}. {checklist.note} {extent(checklist)}"),
            paragraph(counts(found)),
            filter_box("Show items with", key),
            _state_box(key),
            data_table(
                title,
                ("Item", "Section", "What is asked", "State", "Answer"),
                [_line(one) for one in found],
                key=key,
                class_="checklist",
                attributes=lambda at: {"data_state": found[at].state},
            ),
        ]
    )


def _line(answer: Answer) -> tuple[str, ...]:
    parts = [el("span", f"{text} ") for text in answer.texts]
    if answer.cited:
        parts.append(el("span", "Source: ", *_codes(answer.cited), ". "))
    if answer.commands:
        parts.append(el("span", "Still to be run: ", *_codes(answer.commands), ". "))
    if answer.item.author:
        parts.append(el("span", f"Author input needed: {answer.item.author}."))
    item = answer.item
    return item.number, item.section, item.text, _badge(answer.state), joined(parts)


def _codes(texts: tuple[str, ...]) -> Iterator[Markup]:
    for at, text in enumerate(texts):
        yield joined([", " if at else "", el("code", text)])


def _badge(state: State) -> Markup:
    return el("span", STATES[state], class_=f"state state-{state}")


def _state_box(table: str) -> Markup:
    choices = [el("option", "all states", value="")]
    choices += [el("option", words, value=state) for state, words in STATES.items()]
    key = f"states-{table}"
    return el("p", el("label", "State", for_=key), el("select", *choices, id=key, data_states=table), class_="controls")


def _flat(content: Mapping[str, object], reasons: Collection[str], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted names with their values as JSON; a group of settings that has a reason of its own stays together."""
    for name, value in content.items():
        if isinstance(value, Mapping) and f"{prefix}{name}" not in reasons:
            yield from _flat(value, reasons, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
