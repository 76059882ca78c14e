"""`update`: a locked model recalibrated at a second site."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from autodls.errors import ArgumentError, DatasetError, InputError, PlanError
from autodls.inference.model_files import CheckedFolder, check_model_folder
from autodls.records.case import Case
from autodls.records.cohort import Cohort, read_cohort
from autodls.records.listing import IMAGES, LABELS
from autodls.records.lock import locked_output
from autodls.records.model_folders import PROVENANCE, ModelFolder
from autodls.records.plan import TrainingPlan
from autodls.records.results_folder import ResultsFolder, clear_unfinished
from autodls.records.splits import Splits
from autodls.records.update import Method, ModelUpdate
from autodls.records.workspace import Workspace, finished_rows
from autodls.stages.places import require_output
from autodls.stages.predict_candidate import is_candidate
from autodls.stages.provenance import files_below, note_output
from autodls.verify.signature import require_same_record
from autodls.watch import SILENT, Watch

if TYPE_CHECKING:
    from autodls.analysis.updating import Update
    from autodls.inference.prediction import Prediction

_FOLDS = 5


@dataclass(frozen=True)
class Updated:
    """What the cases of a second site say of a model: `update`, and the `folder` of the new model.

    `folder` is None where none was asked for, or where no update is needed. `unscored` says of each case without a
    score why it has none.
    """

    update: ModelUpdate
    folder: Path | None
    unscored: Mapping[str, str]


def update(
    dataset: Path,
    output: Path | None = None,
    *,
    model: Path,
    method: Method | None = None,
    device: str = "auto",
    workers: int = 1,
    watch: Watch = SILENT,
    verified: str | None = None,
) -> Updated:
    """Score the training cohort of `dataset` by a locked model, and fit the model's probability and cut-off to it.

    Networks stay as they are. Without a `method` the closed test of `analysis/updating.py` chooses, also that nothing
    is needed. Every figure of the updated model is cross-fitted. Other cohorts of the dataset are not looked at: they
    may judge what comes out. The new model goes into folder `output`; nothing is written where none is given or needed.
    A model that was loaded before has to be the one that was `verified` then, by the SHA-256 of its record.

    Raises DatasetError where the dataset asks something else than the model answers, or holds too few patients of a
    class; ArgumentError for a locked candidate, and where results cannot lie; ModelFolderError where the model is not
    whole.
    """
    if is_candidate(model):
        raise ArgumentError(
            f"{model}: a locked candidate cannot be updated, only a model of networks; give the folder model/ of the "
            "workspace that it comes from, or run 'autodls compare' on your own cases"
        )
    checked, cohort = check_model_folder(model), read_cohort(dataset)
    require_same_record(model, checked.sha256, verified)
    _require_same_question(checked, cohort)
    _require_other_cases(checked, cohort, workers)
    run = _Run(checked, cohort, method, device, workers, watch)
    _require_enough(run, run.cases, "labelled cases in the training cohort")
    if output is None:
        return run.fit(run.score(None)[0])[0]
    require_output(output, read=[dataset / IMAGES, dataset / LABELS, model])
    results = ResultsFolder(output, "model.json", finished_rows(ModelFolder(output).record).name)
    with locked_output(results.root):
        results.require_free()
        clear_unfinished(results)
        return _into(results, run)


@dataclass(frozen=True)
class _Run:
    """Which model is updated on which cases, and how they are scored."""

    checked: CheckedFolder
    cohort: Cohort
    method: Method | None
    device: str
    workers: int
    watch: Watch

    @property
    def cases(self) -> tuple[Case, ...]:
        return self.cohort.training

    def score(self, log: Path | None) -> "tuple[Prediction, str]":
        """The first model's scores, kept in `log` as they come, and what they were computed in."""
        from autodls.inference.inputs import InputCase
        from autodls.inference.model_folder import load_model
        from autodls.inference.predict import predict_cases
        from autodls.inference.rois import RoiSource, automatic_rois
        from autodls.inference.score_log import ScoreLog
        from autodls.models.device import resolve_device

        record, root, place = self.checked.record, self.checked.folder.root, resolve_device(self.device)
        model, drawn = load_model(root, place, streamed=True, checked=self.checked), record.rois == "auto"
        cases = [InputCase(case.id, case.images, None if drawn else case.roi, gap=case.gap) for case in self.cases]
        with _masks(drawn) as folder, self.watch.progress("scoring", len(cases)) as advance:
            source = RoiSource(record)
            if drawn:
                source = automatic_rois(model, root, place, lambda case: folder / f"{case}{record.file_ending}")
            kept = None if log is None else ScoreLog(log, model)
            return predict_cases(model, cases, source, advance, self.workers, kept), model.computed_in

    def fit(self, prediction: "Prediction") -> "tuple[Updated, Update]":
        """Choose, fit and judge the update from the scores; the new model has no folder yet."""
        from autodls.analysis.update_figures import FirstModel, Site, update_of
        from autodls.evaluation.caveats import INVERTED, is_below_chance
        from autodls.planning.splits import cross_fitting_folds
        from autodls.records.formatting import estimate

        unscored = {one.case: one.reason.removeprefix(f"case {one.case}: ") for one in prediction.failed}
        for case, reason in unscored.items():
            self.watch.note(f"not scored: case {case}: {reason}")
        score_of = {score.case: score.dls for score in prediction.cases}
        scored = [case for case in self.cases if case.id in score_of]
        _require_enough(self, scored, "cases with a score")
        training = self.checked.plan.training
        fold_of = cross_fitting_folds(scored, _FOLDS, training.seed)
        labels = np.array([case.label for case in scored], dtype=bool)
        scores = np.array([score_of[case.id] for case in scored])
        site = Site(self.cohort.description.name, labels, scores, [fold_of[case.id] for case in scored])
        first = FirstModel(self.checked.sha256, self.checked.record.cutoff, training.cutoff, training.seed)
        update, told = update_of(site, first, self.method)
        if is_below_chance(told.auc.value, told.auc.high):
            raise DatasetError(
                f"{self.cohort.folder}: the model's AUC there is {estimate(told.auc)}, below chance: {INVERTED}"
            )
        return Updated(told, None, unscored), update


def _into(results: ResultsFolder, run: _Run) -> Updated:
    """Score, fit, and write the new model where there is one; finished scores are kept until then."""
    from autodls.analysis.updated_model import updated_record
    from autodls.inference.model_copy import card_of, write_with_networks_of

    log, checked = finished_rows(ModelFolder(results.root).record), run.checked
    prediction, computed_in = run.score(log)
    updated, fitted = run.fit(prediction)
    if fitted.method != "none":
        target, training = ModelFolder(results.unfinished), checked.plan.training
        record, card = updated_record(checked.record, fitted, training.cutoff, updated.update, card_of(checked))
        write_with_networks_of(checked, record, card, target)
        made = files_below(target.root)
        made_from = [checked.folder.record]
        note_output(run.watch.command, target.root, "update", training.seed, made_from, made, computed_in)
        results.publish([*made, target.root / PROVENANCE])
        updated = replace(updated, folder=results.root)
        if checked.folder.signature.exists():
            run.watch.note("the updated model is a new one, which nobody has signed; sign it: autodls sign MODEL --key")
    log.unlink(missing_ok=True)
    return updated


@contextmanager
def _masks(drawn: bool) -> Iterator[Path]:
    """Where ROIs that are drawn lie while cases are scored."""
    if not drawn:
        yield Path()
        return
    with tempfile.TemporaryDirectory(prefix="autodls-") as folder:
        yield Path(folder)


def _require_same_question(checked: CheckedFolder, cohort: Cohort) -> None:
    """Raise DatasetError where the dataset is not one that the model can score and be judged on."""
    record, asked, path = checked.record, cohort.description, cohort.folder / "dataset.json"
    question, answered = asked.autodls.target, record.target
    pairs: dict[str, tuple[object, object]] = {
        "channel_names": (dict(asked.channel_names), dict(record.channel_names)),
        "file_ending": (asked.file_ending, record.file_ending),
        "autodls.roi_channel": (asked.roi_channel, record.roi_channel),
        "autodls.target": (f"{question.name}: {question.condition}", f"{answered.name}: {answered.condition}"),
    }
    if record.rois == "manual":
        pairs["labels"] = (tuple(sorted(asked.roi_labels)), record.roi_labels)
    for name, (found, expected) in pairs.items():
        if found != expected:
            raise DatasetError(
                f"{path}: {name} is {found}, the model has {expected}; a model is updated on cases of its own question "
                "and channels: correct dataset.json, or train a model of its own"
            )


def _require_other_cases(checked: CheckedFolder, cohort: Cohort, workers: int) -> None:
    """Raise DatasetError where the model was trained on this training cohort, wherever the workspace lies.

    A model folder names no case. But the splits that it was locked from follow from the cases, their images and the
    plan; those that lie in DATASET/autodls may have been drawn otherwise. Parts of the cohort, or a changed one, cannot
    be known again.
    """
    locked_from = checked.record.splits_sha256
    if locked_from in (_splits_beside(cohort), _splits_anew(checked.plan.training, cohort, workers)):
        raise DatasetError(
            f"{cohort.folder}: the model was trained on this very cohort; update it on cases that it has not seen"
        )


def _splits_beside(cohort: Cohort) -> str | None:
    try:
        return Splits.load(Workspace(cohort.folder / "autodls").splits, "").sha256()
    except InputError:
        return None


def _splits_anew(training: TrainingPlan, cohort: Cohort, workers: int) -> str | None:
    from autodls.planning.fingerprint import inputs_sha256
    from autodls.planning.splits import make_splits

    try:
        drawn = make_splits(cohort.training, training.folds, training.inner_holdout, training.seed)
    except PlanError:  # too few cases for as many folds
        return None
    return drawn.model_copy(update={"inputs_sha256": inputs_sha256(cohort.training, workers)}).sha256()


def _require_enough(run: _Run, cases: Sequence[Case], what: str) -> None:
    """Raise DatasetError where `cases` are too few, or several of one patient."""
    from autodls.analysis.updating import LEAST_FOR_SLOPE, LEAST_OF_A_CLASS

    folder, positives = run.cohort.folder, sum(bool(case.label) for case in cases)
    patients = len({case.patient for case in cases})
    if len(cases) > patients:
        raise DatasetError(
            f"{folder}: {len(cases)} {what} are of {patients} patients, and the tests that choose an update take them "
            "for independent; leave one case a patient in the training cohort"
        )
    least = LEAST_FOR_SLOPE if run.method == "intercept+slope" else LEAST_OF_A_CLASS
    for count, name in ((positives, "positive"), (len(cases) - positives, "negative")):
        if count < least:
            to_do = "ask for the intercept alone" if count >= LEAST_OF_A_CLASS else "use the model as it is"
            raise DatasetError(
                f"{folder}: {count} of the {len(cases)} {what} are {name}, and an update takes {least} of each class "
                f"(ten a fitted parameter); add cases, or {to_do}"
            )
