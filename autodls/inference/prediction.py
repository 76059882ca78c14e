"""What `predict` writes: a score a case, by which model, from which bytes. Torch is not needed to read it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from autodls.records.base import Record
from autodls.records.scores import write_csv
from autodls.records.segmentation import DrawnRoi
from autodls.records.workspace import RoiKind

Call = Literal["high", "low"]


class CaseScore(Record):
    """One row of scores.csv; `dls` is the calibrated probability of the positive class."""

    case: str
    dls: float
    call: Call
    cutoff: float
    spread: float
    dls_raw: float
    sequences: dict[str, float]
    rois: RoiKind
    flags: tuple[str, ...]
    drawn: DrawnRoi | None = None
    mask_sha256: str | None = Field(default=None, description="of the automatic ROI that it was scored with")


class CaseFailure(Record):
    """A case that could not be scored, and why."""

    case: str
    reason: str


class Prediction(Record):
    """predict.json: what was scored, by which model, from which bytes."""

    format: Literal["autodls-predict/1"] = "autodls-predict/1"
    version: str
    model_sha256: str
    target: str
    cases: tuple[CaseScore, ...]
    failed: tuple[CaseFailure, ...]
    inputs: dict[str, dict[str, str]]


def prediction_of(folder: Path) -> Path:
    """Where the record lies in an output folder."""
    return folder / "predict.json"


def write_prediction(folder: Path, prediction: Prediction, sequences: Sequence[str]) -> None:
    """Write `folder`/scores.csv and the record."""
    header = ["case", "dls", "call", "cutoff", "spread", *sequences, "present", "rois", "flags", "dls_raw"]
    lines = [
        [
            score.case,
            score.dls,
            score.call,
            score.cutoff,
            score.spread,
            *(score.sequences.get(name) for name in sequences),
            " ".join(name for name in sequences if name in score.sequences),
            score.rois,
            "; ".join(score.flags),
            score.dls_raw,
        ]
        for score in prediction.cases
    ]
    write_csv(folder / "scores.csv", header, lines)
    prediction.save(prediction_of(folder))
