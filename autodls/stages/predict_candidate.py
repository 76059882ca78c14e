"""`predict` with a locked candidate: features and coefficients in the place of networks, or beside them."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from autodls import __version__
from autodls.errors import ArgumentError, ModelFolderError
from autodls.inference.inputs import Beforehand, InputCase, list_inputs
from autodls.inference.prediction import CaseFailure, CaseScore, Prediction, prediction_of, write_prediction
from autodls.parallel import map_parallel
from autodls.records.base import some_of
from autodls.records.clinical_column import read_clinical
from autodls.records.files import sha256_of_input
from autodls.records.lock import locked_output
from autodls.records.locked_candidate import CANDIDATE, NETWORKS, LockedCandidate
from autodls.records.model_folders import PROVENANCE, ModelFolder
from autodls.records.results_folder import ResultsFolder, clear_unfinished
from autodls.stages.candidate_scores import OpenCandidate, scored_by
from autodls.stages.provenance import note_output
from autodls.watch import Watch

REPAIR = "copy it anew from where it was locked, or run 'autodls compare --lock' again"
MEASURED = "measured"
"""Where radiomic features of a run lie until its results are whole."""


def is_candidate(folder: Path) -> bool:
    """Whether `folder` holds a locked candidate; beside a model it is a stray file, which the model's check refuses."""
    return (folder / CANDIDATE).is_file() and not ModelFolder(folder).record.exists()


def candidate_record(
    folder: Path, *, rois: bool, heatmaps: bool, clinical: bool | None = None
) -> tuple[LockedCandidate, str]:
    """The candidate in `folder`, and the hash of its file.

    Raises ArgumentError where it needs ROIs or a `clinical` table and is not given them, or heat maps are asked of it;
    None for `clinical` asks nothing of it.
    """
    locked, sha256 = LockedCandidate.load_hashed(folder / CANDIDATE, REPAIR, ModelFolderError)
    if heatmaps:
        networks = locked.networks_sha256 is not None
        instead = f"; those of its networks: -m {folder / NETWORKS}" if networks else ""
        raise ArgumentError(f"{folder}: a locked candidate has no networks of its own, no heat maps{instead}")
    if not rois and locked.needs_roi:
        raise ArgumentError(
            f"{folder}: a locked candidate draws no ROIs; give the folder of ROIs with --rois, or of DICOM their name "
            "with --roi-name"
        )
    columns = some_of([column.name for column in locked.clinical_columns])
    if clinical is False and columns:
        raise ArgumentError(
            f"{folder}: the candidate '{locked.candidate}' needs clinical columns; give a table with columns case, "
            f"{columns} with --clinical"
        )
    if clinical and not columns:
        raise ArgumentError(
            f"{folder}: the candidate '{locked.candidate}' takes no clinical columns; leave --clinical out"
        )
    return locked, sha256


def open_candidate(
    folder: Path, *, clinical: Path | None, rois: bool, heatmaps: bool = False, results: ResultsFolder | None = None
) -> OpenCandidate:
    """The candidate in `folder` and its table; raises ArgumentError as `candidate_record`, and with another library.

    Raises DatasetError for a table that does not serve, ModelFolderError where its networks are not its own.
    """
    record, sha256 = candidate_record(folder, rois=rois, heatmaps=heatmaps, clinical=clinical is not None)
    _require_library(record)
    if record.networks_sha256 is not None:
        require_own_networks(folder, record)
    rows: Mapping[str, Mapping[str, str]] = {}
    if clinical is not None:
        rows = read_clinical(clinical, [column.name for column in record.clinical_columns], record.missing)
    kept = None if results is None else results.unfinished / MEASURED
    return OpenCandidate(folder, record, sha256, rows, clinical.name if clinical else "", kept)


def require_no_table(clinical: Path | None) -> None:
    """Raise ArgumentError where a `clinical` table is given to a model that takes none."""
    if clinical is not None:
        raise ArgumentError(f"--clinical {clinical}: the model takes images alone; only a locked candidate may need it")


def require_own_networks(folder: Path, record: LockedCandidate) -> None:
    """Raise ModelFolderError unless the networks beside a candidate are those that it was locked with."""
    path = ModelFolder(folder / NETWORKS).record
    found = sha256_of_input(path) if path.is_file() else "none"
    if found != record.networks_sha256:
        raise ModelFolderError(
            f"{path}: not the networks that the candidate was locked with (SHA-256 {found[:12]}, candidate.json has "
            f"{(record.networks_sha256 or '')[:12]}); {REPAIR}"
        )


def predict_candidate(
    images: Path,
    results: ResultsFolder | None,
    candidate: OpenCandidate,
    rois: Path | None,
    workers: int,
    watch: Watch,
    known: Beforehand,
) -> Prediction:
    """Score the cases of `images` with their ROIs in `rois` by a candidate without networks, into `results` if given.

    `known` is what is known of cases before they are read.
    """
    cases = known.of(list_inputs(images, rois, candidate.record))
    tell_rows(candidate, cases, watch)
    if results is None:
        prediction = _predicted(candidate, cases, workers, watch)
    else:
        with locked_output(results.root):
            results.require_free()
            clear_unfinished(results, keep=MEASURED)
            prediction = _predicted(candidate, cases, workers, watch)
            _write(results, prediction, candidate.folder, watch.command)
    tell_failed(prediction, known, watch)
    return prediction


def tell_failed(prediction: Prediction, known: Beforehand, watch: Watch) -> None:
    """Say why cases have no score; of those that are `known` to have no image it was said before."""
    for failure in prediction.failed:
        if failure.case not in known.refused:
            watch.note(f"not scored: {failure.reason}")


def tell_rows(candidate: OpenCandidate, cases: Sequence[InputCase], watch: Watch) -> None:
    """Say of rows of the clinical table that they are of no case that is scored."""
    if others := sorted(candidate.rows.keys() - {case.id for case in cases}):
        watch.note(f"not used: {len(others)} rows of {candidate.table} whose case has no image: {some_of(others, 3)}")


def _predicted(candidate: OpenCandidate, cases: Sequence[InputCase], workers: int, watch: Watch) -> Prediction:
    with watch.progress("scoring", len(cases)) as advance:
        found = map_parallel(partial(scored_by, candidate), cases, [case.id for case in cases], workers, advance)
    return Prediction(
        version=__version__,
        model_sha256=candidate.sha256,
        target=candidate.record.target.name,
        cases=tuple(one for one, _ in found if isinstance(one, CaseScore)),
        failed=tuple(one for one, _ in found if isinstance(one, CaseFailure)),
        inputs={one.case: inputs for one, inputs in found},
    )


def _require_library(locked: LockedCandidate) -> None:
    """Features of another version may have other values: raise ArgumentError."""
    if (needed := locked.library_needed) is None:
        return
    from autodls.candidates.radiomics import library

    if (found := library()) != needed:
        raise ArgumentError(
            f"the candidate was locked with features of {needed}, here is {found}; install that version with "
            f"pip install {needed.replace(' ', '==')}"
        )


def _write(results: ResultsFolder, prediction: Prediction, folder: Path, command: Sequence[str]) -> None:
    unfinished = results.unfinished
    write_prediction(unfinished, prediction, ())
    made = [unfinished / "scores.csv", prediction_of(unfinished)]
    note_output(command, unfinished, "predict", None, [folder / CANDIDATE], made)
    results.publish([*made, unfinished / PROVENANCE])
