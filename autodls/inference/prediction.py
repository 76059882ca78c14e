"""What `predict` writes: a score a case, by which model, from which bytes. Torch is not needed to read it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from autodls.records.automatic_roi import AutomaticRoi
from autodls.records.base import Record
from autodls.records.model_folders import RoiKind
from autodls.records.scores import write_csv

if TYPE_CHECKING:
    import pandas

Call = Literal["high", "low"]
LESION_COLUMNS = ("case", "lesion", "volume_ml", "x_mm", "y_mm", "z_mm", "dls")


class LesionScore(Record):
    """One row of lesions.csv; `dls` is what the model says of a patient with this lesion alone."""

    lesion: int = Field(description="of the patient's, by volume from 1")
    volume_ml: float = Field(description="its volume")
    centre_mm: tuple[float, float, float] = Field(description="middle of its voxels: LPS")
    dls: float = Field(description="what the model says of a patient with this lesion alone")


class CaseScore(Record):
    """One row of scores.csv; `dls` is the calibrated probability of the positive class."""

    case: str = Field(description="its id")
    dls: float = Field(description="calibrated probability of the positive class")
    call: Call = Field(description="high at or above the cut-off")
    cutoff: float = Field(description="the locked cut-off")
    spread: float | None = Field(description="of the folds; None for a candidate that is one model")
    dls_raw: float = Field(description="the networks' softmax output before calibration")
    sequences: dict[str, float] = Field(description="the score of each sequence alone")
    rois: RoiKind = Field(description="whose ROI it was scored with")
    flags: tuple[str, ...] = Field(description="what a person should know of this score")
    drawn: AutomaticRoi | None = Field(default=None, description="of an automatic ROI: how sure its network was")
    mask_sha256: str | None = Field(default=None, description="of the automatic ROI that it was scored with")
    lesions: tuple[LesionScore, ...] = Field(
        default=(), description="where lesions are told apart; the log-odds of `dls` are the mean of theirs"
    )
    parts: dict[str, float] = Field(default={}, description="log-odds of the parts of an integrated candidate")

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without lesions and parts where there are none, as by versions that did not know them."""
        content: dict[str, Any] = write(self)
        return {name: value for name, value in content.items() if name not in ("lesions", "parts") or value}


class CaseFailure(Record):
    """A case that could not be scored, and why."""

    case: str = Field(description="its id")
    reason: str = Field(description="why it has no score")


class Prediction(Record):
    """predict.json: what was scored, by which model, from which bytes."""

    format: Literal["autodls-predict/1"] = "autodls-predict/1"
    version: str = Field(description="of AutoDLS")
    model_sha256: str = Field(description="SHA-256 of the model.json that scored")
    target: str = Field(description="what a positive case is called")
    cases: tuple[CaseScore, ...] = Field(description="those that have a score")
    failed: tuple[CaseFailure, ...] = Field(description="those that have none")
    inputs: dict[str, dict[str, str]] = Field(description="SHA-256 of each file of each case")
    computed_in: str | None = Field(
        default=None, description="numbers and device of the networks; several, with ; between, where some were kept"
    )

    @property
    def sequences(self) -> tuple[str, ...]:
        """Names of all sequences that a case was scored with; those of the case with most of them come first."""
        scored = sorted((score.sequences for score in self.cases), key=len, reverse=True)
        return tuple(dict.fromkeys(name for one in scored for name in one))

    @property
    def has_lesions(self) -> bool:
        """Whether lesions were told apart."""
        return any(score.lesions for score in self.cases)

    def to_frame(self) -> "pandas.DataFrame":
        """A pandas table with the columns of scores.csv, a row for every case that was given, in that order.

        What a case has no value for is NaN, or None among words; one that could not be scored has its reason in
        "failed".
        """
        import pandas

        header = score_columns(self.sequences)
        table = pandas.DataFrame(score_rows(self, header), columns=header)
        numbers = ["dls", "cutoff", "spread", *self.sequences, "dls_raw"]
        return table.astype(dict.fromkeys(numbers, "float64"))

    @property
    def results(self) -> tuple[CaseScore | CaseFailure, ...]:
        """Every case that was given, in that order: its score, or why it has none."""
        order = {case: at for at, case in enumerate(self.inputs)}
        return tuple(sorted((*self.cases, *self.failed), key=lambda one: order.get(one.case, len(order))))


def prediction_of(folder: Path) -> Path:
    """Where the record lies in an output folder."""
    return folder / "predict.json"


def write_prediction(folder: Path, prediction: Prediction, sequences: Sequence[str]) -> None:
    """Write `folder`/scores.csv, a row for every case that was given, the record, and lesions.csv where it has any."""
    header = score_columns(sequences)
    write_csv(folder / "scores.csv", header, score_rows(prediction, header))
    prediction.save(prediction_of(folder))
    if prediction.has_lesions:
        write_csv(lesions_of(folder), LESION_COLUMNS, lesion_rows(prediction))


def lesions_of(folder: Path) -> Path:
    """Where the scores of lesions lie in an output folder."""
    return folder / "lesions.csv"


def lesion_rows(prediction: Prediction) -> list[list[object]]:
    """The rows of lesions.csv: every lesion of every case that has a score."""
    return [
        [score.case, one.lesion, one.volume_ml, *one.centre_mm, one.dls]
        for score in prediction.cases
        for one in score.lesions
    ]


def score_columns(sequences: Sequence[str]) -> list[str]:
    """The header of scores.csv."""
    before, after = ["case", "dls", "call", "cutoff", "spread"], ["present", "rois", "flags", "failed", "dls_raw"]
    return [*before, *sequences, *after]


def score_rows(prediction: Prediction, header: Sequence[str]) -> list[list[object]]:
    """A row of the columns `header` for every case; one that has no score has its reason in column "failed" alone."""
    cells = (_failure_cells(one) if isinstance(one, CaseFailure) else _score_cells(one) for one in prediction.results)
    return [[row.get(name) for name in header] for row in cells]


def _failure_cells(failure: CaseFailure) -> dict[str, object]:
    reason = failure.reason.removeprefix(f"case {failure.case}: ")
    return {"case": failure.case, "failed": " ".join(reason.split()) or "not scored"}


def _score_cells(score: CaseScore) -> dict[str, object]:
    return {
        **score.sequences,
        "case": score.case,
        "dls": score.dls,
        "call": score.call,
        "cutoff": score.cutoff,
        "spread": score.spread,
        "present": " ".join(score.sequences),
        "rois": score.rois,
        "flags": "; ".join(score.flags),
        "dls_raw": score.dls_raw,
    }
