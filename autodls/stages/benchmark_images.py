"""`benchmark images`: the images made worse as scanners and patients do, and what that does to the score."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autodls import __version__
from autodls.errors import DatasetError, StaleRecordError
from autodls.evaluation.score_auc import OUT_OF_FOLD
from autodls.records.case import Case
from autodls.records.lock import locked
from autodls.records.scores import FUSED
from autodls.records.table import read_table
from autodls.records.workspace import Workspace
from autodls.stages.benchmark_cohorts import ENSEMBLE, OWN_FOLD
from autodls.stages.provenance import note_run, precision_of_all
from autodls.stages.session import Session, planned_workspace
from autodls.watch import SILENT, Watch

if TYPE_CHECKING:
    from autodls.analysis.images_records import CohortImages, ImageBenchmark
    from autodls.inference.image_robustness import DegradedScore, KeyedCase
    from autodls.inference.model_folder import LockedModel
    from autodls.inference.rescoring import ScoreCache
    from autodls.report.drawn import ReportTable

_ROUND_OFF = 1e-4  # scores of another device or processor differ in their last digits
_TRAIN_AGAIN = "run 'autodls train fold all' again"


@dataclass(frozen=True)
class ImagesBenchmarked:
    """What `benchmark_images` found, and the workspace where it lies."""

    workspace: Workspace
    benchmark: "ImageBenchmark"
    table: "ReportTable"


@dataclass(frozen=True)
class _Cohort:
    """The cases of a cohort that are asked for; `left_out` says of the others why."""

    name: str
    cases: "Sequence[KeyedCase]"
    left_out: dict[str, str]


def benchmark_images(
    dataset: Path,
    workspace: Path | None = None,
    most_cases: int | None = None,
    *,
    device: str = "auto",
    workers: int = 1,
    watch: Watch = SILENT,
) -> ImagesBenchmarked:
    """Score every case with its images made worse: six kinds of artefact, four levels each; the ROI stays.

    Training cases are scored by the fold that did not see them, held-out ones by the locked ensemble. Of each cohort
    up to `most_cases` are taken, at even ranks of ROI volume; None: all. Scores are kept, so a killed run continues.

    Raises ArgumentError where TorchIO is not installed, ModelFolderError where there is no model on manual ROIs, and
    StaleRecordError where it is of other folds, or cases no longer have the score that it was locked with.
    """
    from autodls.imaging.degradation import require_torchio
    from autodls.inference.model_folder import load_model
    from autodls.inference.rescoring import ScoreCache
    from autodls.models.device import resolve_device
    from autodls.report.images_files import write_images

    require_torchio()
    place, where = planned_workspace(dataset, workspace), resolve_device(device)
    with locked(place):
        session = Session.open(dataset, place.root, "manual")
        model = load_model(session.workspace.model.root, where, streamed=True)
        cohorts = _cohorts(session, model, most_cases)
        book = ScoreCache(session.workspace.image_benchmark_scores)
        benchmark = _measure(session, model, cohorts, book, workers, watch)
        book.close()
        table, made = write_images(session.workspace, benchmark)
        record = session.workspace.model.record
        precision = precision_of_all(place, "benchmark images", record, model.computed_in)
        seed, made_from = model.plan.training.seed, [record, session.workspace.oof_scores]
        note_run(watch.command, place, "benchmark images", seed, made_from, made, precision)
    return ImagesBenchmarked(session.workspace, benchmark, table)


def _measure(
    session: Session,
    model: "LockedModel",
    cohorts: Sequence[_Cohort],
    book: "ScoreCache",
    workers: int,
    watch: Watch,
) -> "ImageBenchmark":
    from autodls.analysis.images_effect import degraded_kinds
    from autodls.analysis.images_records import ImageBenchmark
    from autodls.imaging.degradation import torchio_version
    from autodls.inference.image_robustness import KINDS, degraded_scores

    seed, found = model.plan.training.seed, {}
    with watch.progress("worse images", len(KINDS) * sum(len(cohort.cases) for cohort in cohorts)) as advance:
        for cohort in cohorts:
            scores = []
            for score in degraded_scores(model, cohort.cases, seed, book, advance, workers):
                if score.kind is None and cohort.name == OUT_OF_FOLD:
                    _require_same(session, score)
                scores.append(score)
            found[cohort.name] = _judged(cohort, scores, model)
    return ImageBenchmark(
        version=__version__,
        torchio=torchio_version(),
        model=model.record.sha256(),
        seed=seed,
        cutoff=model.record.cutoff,
        kinds=degraded_kinds(),
        cohorts=found,
    )


def _judged(cohort: _Cohort, scores: "Sequence[DegradedScore]", model: "LockedModel") -> "CohortImages":
    from autodls.analysis.images_effect import cohort_images

    of_folds, pairs = cohort.name == OUT_OF_FOLD, [one.paired for one in cohort.cases]
    scored_by = OWN_FOLD if of_folds else ENSEMBLE
    return cohort_images(pairs, scores, cohort.left_out, model.record.cutoff, scored_by, out_of_fold=of_folds)


def _cohorts(session: Session, model: "LockedModel", most: int | None) -> list[_Cohort]:
    """The training cases, each with the fold that did not see it, and every held-out cohort."""
    from autodls.analysis.scored_study import cohort_name

    splits = session.splits(model.plan)
    if splits.sha256() != model.record.splits_sha256:
        raise StaleRecordError(
            f"{session.workspace.splits}: other folds than those that the model was locked from, so a case might be "
            f"scored by networks that saw it; {_TRAIN_AGAIN}"
        )
    fold_of = {case: fold.index for fold in splits.folds for case in fold.validation}
    trained = [_cohort(OUT_OF_FOLD, session.training, fold_of, model, most)]
    return trained + [
        _cohort(cohort_name(name), cases, {}, model, most) for name, cases in session.cohort.held_out.items()
    ]


def _cohort(
    name: str, cases: Sequence[Case], fold_of: dict[str, int], model: "LockedModel", most: int | None
) -> _Cohort:
    from autodls.analysis.rois_effect import evenly_ranked
    from autodls.inference.image_robustness import KeyedCase
    from autodls.inference.inputs import InputCase
    from autodls.inference.rescoring import PairedCase, sample_key

    found: dict[str, KeyedCase] = {}
    left_out: dict[str, str] = {}
    for case in cases:
        files = InputCase(case.id, case.images, case.roi)
        fold = fold_of[case.id] if name == OUT_OF_FOLD else None
        try:
            if case.gap is not None:
                raise DatasetError(case.gap)
            found[case.id] = KeyedCase(PairedCase(case, {"manual": files}, fold), sample_key(model, files))
        except DatasetError as failure:
            left_out[case.id] = str(failure).removeprefix(f"case {case.id}: ")
    if most is not None and most < len(found):
        chosen = evenly_ranked({id_: _volume_mm3(one, model) for id_, one in found.items()}, most)
        found = {id_: one for id_, one in found.items() if id_ in chosen}
    return _Cohort(name, list(found.values()), left_out)


def _volume_mm3(one: "KeyedCase", model: "LockedModel") -> float:
    """Volume of the manual ROI, 0 for one that cannot be read: its case is left out when it is scored."""
    import numpy as np

    from autodls.imaging.volumes import read_roi
    from autodls.inference.rescoring import roi_of

    files = one.paired.rois["manual"]
    try:
        roi = read_roi(roi_of(files), files.roi_labels(model.record))
    except DatasetError:
        return 0.0
    return float(np.count_nonzero(roi.array) * np.prod(roi.geometry.spacing_mm))


def _require_same(session: Session, score: "DegradedScore") -> None:
    """Raise StaleRecordError where a training case, as it is, no longer has its out-of-fold score."""
    known = {line["case"]: float(line[FUSED]) for line in read_table(session.workspace.oof_scores)}
    before = known.get(score.case)
    if before is None or score.dls is None or abs(score.dls - before) > _ROUND_OFF:
        raise StaleRecordError(
            f"case {score.case}: scores {score.dls} now, and {before} when the model was locked; {_TRAIN_AGAIN}"
        )
