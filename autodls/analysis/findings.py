"""Warnings by kind: one sentence for all cohorts and scores of which it holds, the heaviest kind first."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from autodls.evaluation.metrics_record import Metrics
from autodls.records.formatting import DASH

NEWS = "Before you believe the headline"
RUN = "The run and its files"
MAPS = "The heat maps"
DATA = "The cases"
UNSURE = "How sure the numbers are"
OPTIMISTIC = "Flattering by construction"
OTHER = "Also"
KINDS = (NEWS, RUN, MAPS, DATA, UNSURE, OPTIMISTIC, OTHER)

# What a sentence of metrics.json is about, by words that it holds; the first that fits decides.
_WORDS: tuple[tuple[str, str], ...] = (
    ("below chance", NEWS),
    ("not shown to be better than a guess", NEWS),
    (" fell from ", NEWS),
    ("alone reaches an AUC", NEWS),
    ("without the images", NEWS),
    ("is shown others", NEWS),
    ("poorly calibrated", NEWS),
    ("calibration-in-the-large", NEWS),
    ("is it on another scale", NEWS),
    (" alone there", NEWS),
    ("optimistic", OPTIMISTIC),
    ("apparent", OPTIMISTIC),
    ("interval of the AUC is wide", UNSURE),
    ("interval of the AUC may be too narrow", UNSURE),
    ("events for one variable", UNSURE),
    ("take these for independent", UNSURE),
    ("Cox regression", UNSURE),
    ("proportional", UNSURE),
    ("no full calibration", UNSURE),
    ("landmark AUC", UNSURE),
    ("censored before", DATA),
    ("left out because", DATA),
    ("judged on the", DATA),
    ("is not scored", DATA),
    ("follow-up", DATA),
    ("no installed font", RUN),
)
_DETAIL = re.compile(r"(?P<claim>.*?) \((?P<detail>[^()]*)\)")


_OUTDONE = re.compile(
    r"(?P<one>.+)(?P<reached> alone reaches an AUC of [\d.]+), (?P<other>.+?)(?P<rest> [\d.]+(, P .*)?)"
)
_LACKING = re.compile(r"no case has (?P<gone>.+): (?P<score>.+) rests on (?P<rest>.+) alone there")

Call = Callable[[str], str]


@dataclass(frozen=True)
class Finding:
    """A sentence and what it is about."""

    kind: str
    text: str


@dataclass
class _Claim:
    """What is said alike of several scores; `said_of` holds the scores of each cohort, with the detail of each."""

    kind: str
    said_of: dict[str, list[str]] = field(default_factory=dict)


def kind_of(text: str) -> str:
    """What a warning of the metrics is about.

    >>> kind_of("cohort a: dls: the 95% interval of the AUC is wide (0.1 to 0.9)") == UNSURE
    True
    """
    return next((kind for words, kind in _WORDS if words in text), OTHER)


def merged(
    warnings: Iterable[str], cohorts: Sequence[str], scores: Sequence[str], called: tuple[Call, Call] = (str, str)
) -> list[Finding]:
    """The warnings of the metrics with those that differ in cohort, score and numbers alone as one sentence.

    `called` says what cohorts and what scores are called in the sentences; their own names unless given.

    >>> [found] = merged(["cohort a: x: the rate is odd (1)", "cohort a: y: the rate is odd (2)"], ["a"], ["x", "y"])
    >>> found.text
    'The rate is odd: a: x (1), y (2).'
    """
    claims: dict[str, _Claim] = {}
    whole: list[Finding] = []
    for text in dict.fromkeys(warnings):
        cohort = _longest(text.removeprefix("cohort "), cohorts) if text.startswith("cohort ") else None
        rest = text if cohort is None else text.removeprefix(f"cohort {cohort}: ")
        score = _longest(rest, scores)
        if cohort is None or score is None:
            whole.append(Finding(kind_of(text), sentence(_called(text, cohort, scores, called))))
            continue
        claim, detail = _cut(rest.removeprefix(f"{score}: "))
        held = claims.setdefault(claim, _Claim(kind_of(claim)))
        shown = called[1](score)
        held.said_of.setdefault(called[0](cohort), []).append(f"{shown} ({detail})" if detail else shown)
    together = [Finding(held.kind, _said(claim, held.said_of)) for claim, held in claims.items()]
    return [*whole, *together]


def by_kind(findings: Iterable[Finding]) -> dict[str, list[str]]:
    """The sentences of each kind, kinds in the order of `KINDS`, those without a sentence left out."""
    held: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for finding in dict.fromkeys(findings):
        held[finding.kind].append(finding.text)
    return {kind: texts for kind, texts in held.items() if texts}


def told_together(metrics: Metrics) -> list[str]:
    """The warnings of the metrics as sentences, those that are alike as one, the heaviest kind first."""
    scores = dict.fromkeys(name for cohort in metrics.cohorts.values() for name in cohort.scores)
    found = by_kind(merged(metrics.warnings, tuple(metrics.cohorts), tuple(scores)))
    return [text for texts in found.values() for text in texts]


def sentence(text: str) -> str:
    """`text` with a capital and a full stop.

    >>> sentence("is it so?"), sentence("it is")
    ('Is it so?', 'It is.')
    """
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '?', '!')) else '.'}"


def _called(text: str, cohort: str | None, scores: Sequence[str], called: tuple[Call, Call]) -> str:
    """A warning about a whole cohort, with what this and the scores that it compares are called."""
    if cohort is None:
        return text
    rest = text.removeprefix(f"cohort {cohort}: ")
    if (found := _OUTDONE.fullmatch(rest)) and {found["one"], found["other"]} <= set(scores):
        rest = f"{called[1](found['one'])}{found['reached']}, {called[1](found['other'])}{found['rest']}"
    if found := _LACKING.fullmatch(rest):
        gone, held = found["gone"].split(" or "), found["rest"].split(" and ")
        if {*gone, found["score"], *held} <= set(scores):
            shown = [" or ".join(map(called[1], gone)), called[1](found["score"]), " and ".join(map(called[1], held))]
            rest = f"no case has {shown[0]}: {shown[1]} rests on {shown[2]} alone there"
    return f"cohort {called[0](cohort)}: {rest}"


def _longest(text: str, names: Sequence[str]) -> str | None:
    """The longest of `names` with which `text` begins, before a colon."""
    return max((name for name in names if text.startswith(f"{name}: ")), key=len, default=None)


def _cut(text: str) -> tuple[str, str]:
    """A clause without the numbers in its first brackets, and these."""
    if (found := _DETAIL.match(text)) is None:
        return text, ""
    return found["claim"] + text[found.end() :], found["detail"]


def _said(claim: str, said_of: Mapping[str, Sequence[str]]) -> str:
    """The claim as a sentence with those of which it holds."""
    where = "; ".join(f"{cohort}: {', '.join(scores)}" for cohort, scores in said_of.items())
    between = f" {DASH} " if claim.endswith("?") else ": "
    return f"{sentence(claim).removesuffix('.')}{between}{where}."
