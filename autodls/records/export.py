"""export.json: what a model was written as for another runtime, how it is fed, and how equal it was shown to be."""

from typing import Annotated, Literal

from pydantic import Field

from autodls.records.base import Record
from autodls.records.dataset import Target
from autodls.records.model_folders import RoiKind
from autodls.records.preprocessing_plan import PreprocessingPlan

EXPORT = "export.json"
MODELS = "models"
"""The model folder of a MONAI bundle."""
Runtime = Literal["onnx", "monai"]
Count = Annotated[int, Field(ge=0)]


class ArrayRecord(Record):
    """An array that a graph takes or gives."""

    name: str
    dtype: Literal["float32", "float64", "bool"]
    axes: tuple[str, ...] = Field(description="name of each axis, in order")
    shape: tuple[int | None, ...] = Field(description="length of each axis; null where it is free")
    meaning: str


class GraphRecord(Record):
    """One file that a runtime loads."""

    file: str
    inputs: tuple[ArrayRecord, ...]
    outputs: tuple[ArrayRecord, ...]


class ShownEqual(Record):
    """What was computed by the runtime and by AutoDLS on the same CPU, and how far they were apart."""

    runtime: str
    computed_in: str = Field(description="device and type of number, of both")
    golden_pictures: Count = Field(description="made-up cases, which golden.safetensors holds")
    real_cases: Count = Field(
        description="of a person's own images, each lesion where they are told apart; none is kept"
    )
    rows: Count = Field(description="scores compared: every pattern of missing sequences of each")
    log_odds_within: float = Field(description="what was asked for: a larger difference is refused")
    log_odds: float = Field(description="the largest difference of the DLS, in log-odds")
    probability: float = Field(description="the largest difference of any other output, all of which are probabilities")
    calls_in_band: Count = Field(description="rows so near the cut-off that the call is left open")


class ExportRecord(Record):
    """The whole export."""

    format: Literal["autodls-export/1"] = "autodls-export/1"
    version: str
    to: Runtime
    model_sha256: str = Field(description="of the model's model.json")
    target: Target
    sequences: tuple[str, ...] = Field(description="in the order of the axis 'sequence'")
    roi_channel: str
    roi_labels: tuple[int, ...]
    rois: RoiKind = Field(
        description="the ROIs that the model was trained on; auto: drawn by networks that are not here"
    )
    preprocessing: PreprocessingPlan = Field(description="what autodls.preprocess_case does")
    cutoff: float = Field(description="high at or above this")
    band_log_odds: float = Field(description="nearer to the cut-off than this, another runtime may call otherwise")
    cautions: tuple[str, ...] = Field(description="why the score is not to be relied on, a clause each")
    graphs: tuple[GraphRecord, ...]
    shown: ShownEqual
    files: dict[str, str] = Field(description="SHA-256 of every other file of the export but provenance.json")
