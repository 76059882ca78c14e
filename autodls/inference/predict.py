"""Images and ROIs in, scores out. One bad case is reported and does not stop the others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from autodls import __version__
from autodls.errors import AutoDLSError
from autodls.inference.inputs import InputCase
from autodls.inference.model_folder import LockedModel
from autodls.inference.rois import DrawnRoi, RoiSource, UsedRoi
from autodls.models.ensemble import EnsembleScores
from autodls.preprocessing.case import prepare_case
from autodls.preprocessing.store import Sample
from autodls.records.base import Record
from autodls.records.files import sha256_of_file
from autodls.records.scores import write_csv
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


@dataclass(frozen=True)
class _Scored:
    score: CaseScore | CaseFailure
    inputs: dict[str, str]


def predict_cases(
    model: LockedModel, cases: Sequence[InputCase], rois: RoiSource, advance: Callable[[str], None]
) -> Prediction:
    """Score every case with its ROI from `rois`; one that cannot be read or has no ROI is listed in `failed`."""
    scored = {}
    for case in cases:
        scored[case.id] = _predict(model, case, rois)
        advance(case.id)
    results = [one.score for one in scored.values()]
    return Prediction(
        version=__version__,
        model_sha256=model.sha256,
        target=model.record.target.name,
        cases=tuple(result for result in results if isinstance(result, CaseScore)),
        failed=tuple(result for result in results if isinstance(result, CaseFailure)),
        inputs={case: one.inputs for case, one in scored.items()},
    )


def write_prediction(folder: Path, prediction: Prediction, sequences: Sequence[str]) -> None:
    """Write `folder`/scores.csv and `folder`/predict.json."""
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
    prediction.save(folder / "predict.json")


def _predict(model: LockedModel, case: InputCase, rois: RoiSource) -> _Scored:
    try:
        roi = rois.of(case)
        sample = prepare_case(case.id, case.images, roi.path, {}, roi.labels, model.plan.preprocessing)
        files = {**case.images, **({"roi": roi.path} if roi.kind == "manual" else {})}
        inputs = {name: sha256_of_file(path) for name, path in files.items()}
        return _Scored(_case_score(model, case.id, sample, roi), inputs)
    except AutoDLSError as failure:
        return _Scored(CaseFailure(case=case.id, reason=str(failure)), {})


def _case_score(model: LockedModel, case: str, sample: Sample, roi: UsedRoi) -> CaseScore:
    scores = score_sample(model, sample)
    dls = float(scores.dls[0])
    sequences = {
        name: float(scores.by_sequence[name][0])
        for name, present in zip(model.plan.sequences, sample.present, strict=True)
        if present
    }
    missing = [name for name in model.plan.sequences if name not in sequences]
    flags = (*roi.flags, *sample.flags, *(f"scored without {name}" for name in missing))
    return CaseScore(
        case=case,
        dls=dls,
        call="high" if dls >= model.record.cutoff else "low",
        cutoff=model.record.cutoff,
        spread=float(scores.spread[0]),
        dls_raw=float(scores.dls_raw[0]),
        sequences=sequences,
        rois=roi.kind,
        flags=flags,
        drawn=roi.drawn,
    )


def score_sample(model: LockedModel, sample: Sample) -> EnsembleScores:
    """Score one stored sample, cropped to the network's input at its centre."""
    size_px = model.plan.preprocessing.input_size_px
    top, left = ((side - size_px) // 2 for side in sample.pixels.shape[-2:])
    crop = np.ascontiguousarray(sample.pixels[None, :, :, top : top + size_px, left : left + size_px])
    return model.score(torch.from_numpy(crop), torch.from_numpy(sample.present[None]))
