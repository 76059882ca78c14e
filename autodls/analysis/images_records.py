"""benchmark_images.json: images made worse, in numbers. What is null has a reason in words."""

from collections.abc import Callable
from typing import Literal

from pydantic import Field

from autodls.evaluation.agreement_records import BlandAltman, ChangedCalls
from autodls.evaluation.results import Auc, Estimate
from autodls.records.base import Record

ImageKind = Literal["motion", "ghosting", "bias", "noise", "blur", "spacing"]


class DegradedKind(Record):
    """What one kind of artefact is, and its levels."""

    word: str
    axis: str = Field(description="what levels are in")
    levels: tuple[float, ...]
    meaning: str


class ImageChange(Record):
    """What one level of one kind does to the score, over the cases that can still be scored."""

    kind: ImageKind
    level: float
    said: str = Field(description="the level in words")
    cases: int
    lost: int = Field(description="cases that cannot be scored at this level")
    log_odds: BlandAltman = Field(description="of the log-odds of the score: degraded minus as it is")
    mean_absolute_change: float | None = Field(description="of the calibrated score")
    icc: Estimate = Field(description="ICC(2,1) of log-odds beside those of the images as they are")
    calls: ChangedCalls = Field(description="at the locked cut-off")
    auc: Auc
    delta: Estimate = Field(description="AUC less that of the images as they are, same cases, by DeLong's paired test")
    lost_because: str | None = Field(default=None, description="the reason of one of the lost cases")


class DegradedCase(Record):
    """One case as its images are, and its scores at the levels of every kind; null where it cannot be scored."""

    case: str
    patient: str
    label: bool | None
    fold: int | None = Field(description="the fold that scored it and did not see it; null for the ensemble")
    dls: float
    degraded: dict[ImageKind, tuple[float | None, ...]]


class CohortImages(Record):
    """The images of one cohort made worse."""

    scored_by: str
    n: int
    positives: int
    auc: Auc = Field(description="of the images as they are")
    changes: tuple[ImageChange, ...]
    cases: tuple[DegradedCase, ...]
    left_out: dict[str, str] = Field(description="why a case is in no figure")


class ImageBenchmark(Record):
    """benchmark_images.json."""

    format: Literal["autodls-benchmark-images/1"] = "autodls-benchmark-images/1"
    version: str
    torchio: str = Field(description="version of TorchIO")
    model: str = Field(description="SHA-256 of model.json")
    seed: int
    cutoff: float = Field(description="the locked one")
    kinds: dict[ImageKind, DegradedKind]
    cohorts: dict[str, CohortImages]

    @property
    def sentences(self) -> tuple[str, ...]:
        """One of each kind."""
        return tuple(self.sentence(kind) for kind in self.kinds)

    def sentence(self, kind: ImageKind, called: Callable[[str], str] = str) -> str:
        """What this kind does to calls at its lowest and its highest level, in words, by cohort.

        `called` says what a cohort is called.
        """
        found = []
        for name, cohort in self.cohorts.items():
            changes = [one for one in cohort.changes if one.kind == kind and one.cases]
            if changes:
                low, *higher = changes
                last = f", {_calls(higher[-1].calls)} at {higher[-1].said}" if higher else ""
                found.append(f"{called(name)}: {_calls(low.calls)} {_verb(low.calls)} at {low.said}{last}")
        word = self.kinds[kind].word
        return f"{word[0].upper()}{word[1:]}, {'; '.join(found)}." if found else f"{word}: no case could be scored."


def _verb(calls: ChangedCalls) -> str:
    return "change" if 2 * (calls.to_high + calls.to_low) > calls.cases else "changes"


def _calls(calls: ChangedCalls) -> str:
    """Changed calls in words.

    >>> from autodls.evaluation.results import Estimate
    >>> _calls(ChangedCalls(cases=72, to_high=1, to_low=3, share=Estimate()))
    '1 call in 18 (4 of 72)'
    """
    changed = calls.to_high + calls.to_low
    if not changed:
        return f"no call of {calls.cases}"
    if 2 * changed > calls.cases:
        return f"{changed} of {calls.cases} calls"
    return f"1 call in {round(calls.cases / changed)} ({changed} of {calls.cases})"
