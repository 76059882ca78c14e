"""TRIPOD+AI, CLAIM and METRICS, filled in from a run: what its artefacts answer, and what only an author can."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Literal

from autodls.errors import ArgumentError
from autodls.records.base import Record
from autodls.report.artefacts import ARTEFACTS, Artefacts
from autodls.report.checklists.evidence_design import DESIGN
from autodls.report.checklists.evidence_results import RESULTS

CHECKLISTS = ("tripod_ai", "claim", "metrics")
EVIDENCE = {**DESIGN, **RESULTS}
State = Literal["reported", "part", "missing", "author"]
STATES: Mapping[State, str] = {
    "reported": "from the run",
    "part": "in part",
    "missing": "not there yet",
    "author": "author input needed",
}


class Item(Record):
    """An item of a published list, and where its answer is to be found.

    `evidence` names entries of EVIDENCE; `author` says what only an author can add, "" where nothing is left to add.
    """

    number: str
    section: str
    text: str
    evidence: tuple[str, ...]
    author: str


class Checklist(Record):
    """A published list; `published_items` counts its items, of which `items` may hold fewer."""

    name: str
    year: int
    published_items: int
    doi: str
    source: str
    note: str
    items: tuple[Item, ...]

    @property
    def is_partial(self) -> bool:
        """Whether items of the published list are left out."""
        return len(self.items) < self.published_items


@dataclass(frozen=True)
class Answer:
    """How an item stands: what the run says, the files that say it, and the commands that are still to be run."""

    item: Item
    state: State
    texts: tuple[str, ...]
    cited: tuple[str, ...]
    commands: tuple[str, ...]


def read_checklist(name: str) -> Checklist:
    """One of CHECKLISTS, as it is installed; raises ArgumentError for another name."""
    if name not in CHECKLISTS:
        raise ArgumentError(f"no checklist '{name}'; there are {', '.join(CHECKLISTS)}")
    content = (resources.files("autodls.report.checklists") / f"{name}.json").read_bytes()
    return Checklist.model_validate_json(content)


def answers(checklist: Checklist, study: Artefacts) -> Sequence[Answer]:
    """An answer to every item, in the order of the list."""
    return [_answer(item, study) for item in checklist.items]


def counts(found: Sequence[Answer]) -> str:
    """How many items are in which state."""
    counted = ", ".join(f"{sum(one.state == state for one in found)} {words}" for state, words in STATES.items())
    return f"{len(found)} items: {counted}."


def extent(checklist: Checklist) -> str:
    """Whether the list is whole."""
    if checklist.is_partial:
        count = f"{len(checklist.items)} of the {checklist.published_items}"
        return f"This list is partial: {count} published items could be verified."
    return f"All {checklist.published_items} items of the published list are here."


def told(names: Sequence[str], study: Artefacts) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """What the entries `names` of EVIDENCE say: texts, the artefacts that say so, and those that are lacking."""
    evidence = [EVIDENCE[name] for name in names]
    lacking = [need for one in evidence for need in one.needs if study.find(need) is None]
    there = [one for one in evidence if not any(need in lacking for need in one.needs)]
    cited = [need for one in there for need in one.needs]
    return tuple(one.tell(study) for one in there), tuple(dict.fromkeys(cited)), tuple(dict.fromkeys(lacking))


def _answer(item: Item, study: Artefacts) -> Answer:
    texts, there, lacking = told(item.evidence, study)
    cited = tuple(dict.fromkeys(study.path_of(need) for need in there))
    commands = tuple(dict.fromkeys(ARTEFACTS[need].command for need in lacking))
    return Answer(item, _state(item, complete=not lacking, answered=bool(texts)), texts, cited, commands)


def _state(item: Item, *, complete: bool, answered: bool) -> State:
    if not item.evidence:
        return "author"
    if not answered:
        return "missing"
    return "part" if item.author or not complete else "reported"
