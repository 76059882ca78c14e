"""Images and ROIs in, scores out. One bad case is reported and does not stop the others."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial

from autodls import __version__
from autodls.errors import AutoDLSError
from autodls.inference.inputs import InputCase
from autodls.inference.model_folder import LockedModel
from autodls.inference.prediction import CaseFailure, CaseScore, LesionScore, Prediction
from autodls.inference.prepare import Preparation, PreparedCase
from autodls.inference.rois import RoiSource, UsedRoi
from autodls.inference.score_log import ScoreLog
from autodls.inference.scoring import require_finite, score_samples, shown
from autodls.models.ensemble import EnsembleScores
from autodls.preprocessing.store import Sample


def predict_cases(
    model: LockedModel,
    cases: Sequence[InputCase],
    rois: RoiSource,
    advance: Callable[[str], None],
    workers: int = 1,
    log: ScoreLog | None = None,
) -> Prediction:
    """Score every case with its ROI from `rois`; one that cannot be read or has no ROI is listed in `failed`.

    Cases flow through in blocks: while the networks score one, `workers` processes read the next. What a case scores
    depends neither on the others nor on the number of workers. Scores are kept in `log` block by block; what stands
    there is not scored again. Raises ModelFolderError where an encoder that is streamed proves altered, AutoDLSError
    where a worker is killed.
    """
    results: dict[str, CaseScore | CaseFailure] = {}
    inputs = {}
    preparation = Preparation(model.plan.preprocessing, model.fingerprint, rois, log)
    with closing(preparation.blocks(cases, workers)) as blocks:
        for scored in map(partial(_score_block, model, log=log), blocks):  # which lets go of a block once it is scored
            for prepared_inputs, result in scored:
                results[result.case], inputs[result.case] = result, prepared_inputs
                advance(result.case)
    return Prediction(
        version=__version__,
        model_sha256=model.sha256,
        target=model.record.target.name,
        cases=tuple(result for result in results.values() if isinstance(result, CaseScore)),
        failed=tuple(result for result in results.values() if isinstance(result, CaseFailure)),
        inputs=inputs,
        computed_in=model.computed_in,
    )


def _score_block(
    model: LockedModel, block: Sequence[PreparedCase], log: ScoreLog | None
) -> list[tuple[dict[str, str], CaseScore | CaseFailure]]:
    """The results of a block with the hashes of their inputs; new scores are in the log afterwards."""
    samples = [one.ready[0] for one in block if isinstance(one.ready, tuple)]
    scored = iter(score_samples(model, samples) if samples else ())
    results = [_result(model, one, scored) for one in block]
    if log is not None:
        new = [one for one in zip(block, results, strict=True) if isinstance(one[0].ready, tuple)]
        log.keep((one.case, one.inputs, result) for one, result in new if isinstance(result, CaseScore))
    return [(one.inputs, result) for one, result in zip(block, results, strict=True)]


def _result(model: LockedModel, one: PreparedCase, scored: Iterator[EnsembleScores]) -> CaseScore | CaseFailure:
    """The result of a case, of which the next of `scored` is, if it was ready to be scored."""
    if isinstance(one.ready, CaseScore):
        return one.ready
    if isinstance(one.ready, str):
        return CaseFailure(case=one.case.id, reason=one.ready)
    try:
        return _case_score(model, *one.ready, next(scored))
    except AutoDLSError as failure:
        return CaseFailure(case=one.case.id, reason=str(failure))


def _case_score(model: LockedModel, sample: Sample, roi: UsedRoi, scores: EnsembleScores) -> CaseScore:
    require_finite(sample, scores)
    dls = float(scores.dls[0])
    sequences = {
        name: float(scores.by_sequence[name][0])
        for name, present in zip(model.plan.sequences, shown(sample), strict=True)
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
        flags=(*roi.flags, *sample.flags, *(f"scored without {name}" for name in missing), *model.caveats),
        drawn=roi.drawn,
        mask_sha256=roi.mask_sha256,
        lesions=_lesion_scores(sample, scores),
    )


def _lesion_scores(sample: Sample, scores: EnsembleScores) -> tuple[LesionScore, ...]:
    """Those of every lesion, where they are told apart."""
    if scores.of_lesions is None:
        return ()
    return tuple(
        LesionScore(lesion=place.number, volume_ml=place.volume_ml, centre_mm=place.centre_mm, dls=float(dls))
        for place, dls in zip((one.lesion for one in sample.lesions), scores.of_lesions, strict=True)
        if place is not None
    )
