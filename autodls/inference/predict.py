"""Images and ROIs in, scores out. One bad case is reported and does not stop the others."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import Field

from autodls import __version__
from autodls.errors import AutoDLSError, DatasetError
from autodls.inference.inputs import InputCase, without_folders
from autodls.inference.model_folder import LockedModel
from autodls.inference.rois import RoiSource, UsedRoi
from autodls.inference.unlike import Onlooker
from autodls.models.ensemble import EnsembleScores
from autodls.preprocessing.case import prepare_case
from autodls.preprocessing.store import Sample
from autodls.records.base import Record
from autodls.records.files import sha256_of_file
from autodls.records.scores import write_csv
from autodls.records.segmentation import DrawnRoi
from autodls.records.workspace import RoiKind

Call = Literal["high", "low"]
_BLOCK_CASES = 32  # 75 MB of samples with three sequences of 256 px; more would hardly cost less per case


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


@dataclass(frozen=True)
class _Prepared:
    """A case on its way to the networks: what it is scored from, or why it cannot be."""

    case: str
    ready: tuple[Sample, UsedRoi] | str
    inputs: dict[str, str]


def predict_cases(
    model: LockedModel, cases: Sequence[InputCase], rois: RoiSource, advance: Callable[[str], None]
) -> Prediction:
    """Score every case with its ROI from `rois`; one that cannot be read or has no ROI is listed in `failed`.

    Cases flow through in blocks: while the networks score one, a thread reads the next. What a case scores does not
    depend on the others. Raises ModelFolderError where an encoder that is streamed proves altered.
    """
    results: list[CaseScore | CaseFailure] = []
    inputs = {}
    for block in _prepared_blocks(model, cases, rois):
        results += _score_block(model, block)
        for one in block:
            inputs[one.case] = one.inputs
            advance(one.case)
    return Prediction(
        version=__version__,
        model_sha256=model.sha256,
        target=model.record.target.name,
        cases=tuple(result for result in results if isinstance(result, CaseScore)),
        failed=tuple(result for result in results if isinstance(result, CaseFailure)),
        inputs=inputs,
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


def _prepared_blocks(model: LockedModel, cases: Sequence[InputCase], rois: RoiSource) -> Iterator[list[_Prepared]]:
    def prepare(start: int) -> list[_Prepared]:
        return [_prepare(model, case, rois) for case in cases[start : start + _BLOCK_CASES]]

    with ThreadPoolExecutor(1) as reader:
        ahead = reader.submit(prepare, 0)
        for start in range(0, len(cases), _BLOCK_CASES):
            block = ahead.result()
            ahead = reader.submit(prepare, start + _BLOCK_CASES)
            yield block


def _prepare(model: LockedModel, case: InputCase, rois: RoiSource) -> _Prepared:
    unused = tuple(f"{name} is not used: {why}" for name, why in case.unused.items())
    try:
        if unused and not case.images:
            raise DatasetError(f"case {case.id}: no image that the model can read: {', '.join(unused)}")
        roi = rois.of(case)
        seen = Onlooker(model.fingerprint, roi)
        plan = model.plan.preprocessing
        sample = prepare_case(case.id, case.images, roi.path, roi.labels, plan, observe=seen.look)
        sample = replace(sample, flags=(*unused, *sample.flags, *seen.flags))
        files = {**case.images, **({"roi": roi.path} if roi.kind == "manual" else {})}
        return _Prepared(case.id, (sample, roi), {name: sha256_of_file(path) for name, path in files.items()})
    except AutoDLSError as failure:
        drawn = [rois.place(case.id)] if rois.place is not None else []
        known = (*case.images.values(), *([case.roi] if case.roi else []), *drawn)
        return _Prepared(case.id, without_folders(str(failure), known), {})


def _score_block(model: LockedModel, block: Sequence[_Prepared]) -> list[CaseScore | CaseFailure]:
    samples = [one.ready[0] for one in block if not isinstance(one.ready, str)]
    scored = iter(score_samples(model, samples) if samples else ())
    results: list[CaseScore | CaseFailure] = []
    for one in block:
        try:
            if isinstance(one.ready, str):
                raise AutoDLSError(one.ready)
            results.append(_case_score(model, *one.ready, next(scored)))
        except AutoDLSError as failure:
            results.append(CaseFailure(case=one.case, reason=str(failure)))
    return results


def _case_score(model: LockedModel, sample: Sample, roi: UsedRoi, scores: EnsembleScores) -> CaseScore:
    _require_finite(sample, scores)
    dls = float(scores.dls[0])
    sequences = {
        name: float(scores.by_sequence[name][0])
        for name, present in zip(model.plan.sequences, sample.present, strict=True)
        if present
    }
    missing = [name for name in model.plan.sequences if name not in sequences]
    return CaseScore(
        case=sample.case,
        dls=dls,
        call="high" if dls >= model.record.cutoff else "low",
        cutoff=model.record.cutoff,
        spread=float(scores.spread[0]),
        dls_raw=float(scores.dls_raw[0]),
        sequences=sequences,
        rois=roi.kind,
        flags=(*roi.flags, *sample.flags, *(f"scored without {name}" for name in missing), *model.record.cautions),
        drawn=roi.drawn,
        mask_sha256=roi.mask_sha256,
    )


def score_sample(model: LockedModel, sample: Sample) -> EnsembleScores:
    """Score one stored sample; raises AutoDLSError where the model gives no finite number."""
    (scores,) = score_samples(model, [sample])
    _require_finite(sample, scores)
    return scores


def score_samples(model: LockedModel, samples: Sequence[Sample]) -> list[EnsembleScores]:
    """The score of every stored sample, cropped to the network's input at its centre."""
    size_px = model.plan.preprocessing.input_size_px
    top, left = ((side - size_px) // 2 for side in samples[0].pixels.shape[-2:])
    crops = np.stack([sample.pixels[:, :, top : top + size_px, left : left + size_px] for sample in samples])
    present = np.stack([sample.present for sample in samples])
    return model.score(torch.from_numpy(crops), torch.from_numpy(present)).by_case()


def _require_finite(sample: Sample, scores: EnsembleScores) -> None:
    seen = [row for row, present in zip(scores.by_sequence.values(), sample.present, strict=True) if present]
    if not np.isfinite([scores.dls, scores.dls_raw, scores.spread, *seen]).all():
        raise AutoDLSError(f"case {sample.case}: the model gives no finite score; copy the model folder anew")
