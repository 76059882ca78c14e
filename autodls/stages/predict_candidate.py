"""`predict` with a locked candidate: features and coefficients in the place of networks."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from autodls import __version__
from autodls.errors import ArgumentError, AutoDLSError, ModelFolderError
from autodls.inference.inputs import InputCase, list_inputs, with_refused, without_folders
from autodls.inference.prediction import CaseFailure, CaseScore, Prediction, prediction_of, write_prediction
from autodls.parallel import map_parallel
from autodls.records.files import sha256_of_input
from autodls.records.lock import locked_output
from autodls.records.locked_candidate import CANDIDATE, VOLUME, LockedCandidate
from autodls.records.model_folders import PROVENANCE, ModelFolder
from autodls.records.results_folder import ResultsFolder, clear_unfinished
from autodls.stages.provenance import note_output
from autodls.watch import Watch

REPAIR = "copy it anew from where it was locked, or run 'autodls compare --lock' again"


def is_candidate(folder: Path) -> bool:
    """Whether `folder` holds a locked candidate; beside a model it is a stray file, which the model's check refuses."""
    return (folder / CANDIDATE).is_file() and not ModelFolder(folder).record.exists()


def candidate_record(folder: Path, *, rois: bool, heatmaps: bool) -> LockedCandidate:
    """The candidate in `folder`; raises ArgumentError where no ROIs are given, or heat maps are asked of it."""
    if heatmaps:
        raise ArgumentError(f"{folder}: a locked candidate has no networks, and so no heat maps")
    if not rois:
        raise ArgumentError(
            f"{folder}: a locked candidate draws no ROIs; give the folder of ROIs with --rois, or of DICOM their name "
            "with --roi-name"
        )
    return LockedCandidate.load(folder / CANDIDATE, REPAIR, ModelFolderError)


def predict_candidate(
    images: Path,
    results: ResultsFolder | None,
    folder: Path,
    rois: Path | None,
    workers: int,
    watch: Watch,
    refused: Mapping[str, str],
) -> Prediction:
    """Score the cases of `images` with their ROIs in `rois` by the candidate in `folder`, into `results` if given.

    `refused` says of cases that have no image why they are not scored. Raises ArgumentError with another version of the
    library that measures features.
    """
    locked, sha256 = LockedCandidate.load_hashed(folder / CANDIDATE, REPAIR, ModelFolderError)
    _require_library(locked)
    cases = with_refused(list_inputs(images, rois, locked), refused)
    with watch.progress("scoring", len(cases)) as advance:
        found = map_parallel(partial(_scored, locked), cases, [case.id for case in cases], workers, advance)
    prediction = Prediction(
        version=__version__,
        model_sha256=sha256,
        target=locked.target.name,
        cases=tuple(one for one, _ in found if isinstance(one, CaseScore)),
        failed=tuple(one for one, _ in found if isinstance(one, CaseFailure)),
        inputs={one.case: inputs for one, inputs in found},
    )
    if results is not None:
        _write(results, prediction, folder, watch.command)
    for failure in prediction.failed:
        watch.note(f"not scored: {failure.reason}")
    return prediction


def _require_library(locked: LockedCandidate) -> None:
    """Features of another version may have other values: raise ArgumentError."""
    if locked.library is None:
        return
    from autodls.candidates.radiomics import library

    if (found := library()) != locked.library:
        raise ArgumentError(
            f"the candidate was locked with features of {locked.library}, here is {found}; install that version with "
            f"pip install {locked.library.replace(' ', '==')}"
        )


def _scored(locked: LockedCandidate, case: InputCase) -> tuple[CaseScore | CaseFailure, dict[str, str]]:
    """The score of a case, or why it has none, with the hashes of its files."""
    paths = {**case.images, **({"roi": case.roi} if case.roi is not None else {})}
    try:
        inputs = {name: sha256_of_input(path) for name, path in paths.items()}
        return _score(locked, case), inputs
    except AutoDLSError as failure:
        return CaseFailure(case=case.id, reason=without_folders(str(failure), paths.values())), {}


def _score(locked: LockedCandidate, case: InputCase) -> CaseScore | CaseFailure:
    if case.gap is not None:
        return CaseFailure(case=case.id, reason=f"case {case.id}: {case.gap}")
    if case.roi is None:
        return CaseFailure(case=case.id, reason=f"case {case.id}: no ROI; draw the tumour on the ROI channel")
    measured, flags = _measured(locked, case, case.roi)
    if not measured:
        return CaseFailure(case=case.id, reason=f"case {case.id}: {'; '.join(flags) or 'nothing could be measured'}")
    odds = np.array([locked.log_odds(measured)])
    score, raw = float(locked.recalibration.probability(odds)[0]), float(1 / (1 + np.exp(-odds[0])))
    lacking = [name for name in locked.features if name not in measured]
    if lacking:
        flags.append(f"{len(lacking)} of {len(locked.features)} features are missing and taken at their middle")
    return CaseScore(
        case=case.id,
        dls=score,
        call="high" if score >= locked.cutoff else "low",
        cutoff=locked.cutoff,
        spread=None,
        dls_raw=raw,
        sequences={},
        rois="manual",
        flags=(*flags, f"scored by the locked candidate '{locked.candidate}', without networks"),
    )


def _measured(locked: LockedCandidate, case: InputCase, roi: Path) -> tuple[dict[str, float], list[str]]:
    if locked.candidate == "radiomics":
        from autodls.candidates.radiomic_cases import radiomics_of_case

        return radiomics_of_case(case.id, case.images, roi, locked.mask_labels, locked.preprocessing)
    from autodls.imaging.volumes import read_roi
    from autodls.planning.tumour import volume_ml

    volume = volume_ml(read_roi(roi, locked.mask_labels))
    return ({VOLUME: float(np.log(volume))}, []) if volume > 0 else ({}, ["the ROI is empty; draw the tumour"])


def _write(results: ResultsFolder, prediction: Prediction, folder: Path, command: Sequence[str]) -> None:
    unfinished = results.unfinished
    with locked_output(results.root):
        results.require_free()
        clear_unfinished(results)
        write_prediction(unfinished, prediction, ())
        made = [unfinished / "scores.csv", prediction_of(unfinished)]
        note_output(command, unfinished, "predict", None, [folder / CANDIDATE], made)
        results.publish([*made, unfinished / PROVENANCE])
