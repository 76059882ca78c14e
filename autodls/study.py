"""A study: a dataset folder, its workspace, and one method a stage. What a command does, one call does."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from autodls.stages.session import planned, workspace_of
from autodls.watch import SILENT, Watch

if TYPE_CHECKING:
    from autodls.evaluation.results import Metrics
    from autodls.inference.prediction import Prediction
    from autodls.planning.check import CheckReport
    from autodls.records.cohort import Cohort
    from autodls.records.model_folders import RoiKind
    from autodls.records.plan import Plan
    from autodls.records.workspace import Workspace
    from autodls.scoring import Model
    from autodls.stages.benchmark_rois import Benchmarked
    from autodls.stages.evaluate import Evaluated
    from autodls.stages.explain import Explained
    from autodls.stages.preprocess import Preprocessed
    from autodls.stages.segment import Segmented
    from autodls.stages.train import Trained
    from autodls.stages.verify import Verified

PathLike = str | os.PathLike[str]


class Study:
    """A dataset folder and its workspace.

    Nothing is read, and no folder is made, before a stage needs it. Every stage may be stopped and called again: it
    goes on where it was. Results are records; nothing is printed.

    Parameters
    ----------
    dataset : the folder with dataset.json, the table, imagesTr and labelsTr
    workspace : where results go; DATASET/autodls unless given
    watch : whoever waits is told of progress and warnings (`autodls.watch.Watch`); nobody unless given

    Raises
    ------
    InputError
        Every stage, in one line, where the dataset, the workspace or an argument is not as it must be (ArgumentError,
        DatasetError, PlanError, StaleRecordError, ModelFolderError); AutoDLSError where the run itself failed.

    Examples
    --------
    >>> import autodls
    >>> study = autodls.Study("DATASET")                                    # doctest: +SKIP
    >>> study.plan(); study.train(); study.evaluate().metrics               # doctest: +SKIP
    """

    def __init__(self, dataset: PathLike, workspace: PathLike | None = None, watch: Watch = SILENT) -> None:
        self.dataset = Path(dataset)
        self.watch = watch
        self._workspace = None if workspace is None else Path(workspace)

    @property
    def workspace(self) -> "Workspace":
        """Where results lie: every file by name. Raises ArgumentError where the place is taken or cannot be."""
        return workspace_of(self.dataset, self._workspace)

    @property
    def cohort(self) -> "Cohort":
        """The cases of the dataset with labels and files, as they lie there now; raises DatasetError."""
        from autodls.records.cohort import read_cohort

        return read_cohort(self.dataset)

    @property
    def plan_record(self) -> "Plan":
        """The plan that lies in the workspace, which a person may have edited; raises PlanError where there is none."""
        return planned(self.workspace)

    @property
    def metrics(self) -> "Metrics":
        """The figures of the last `evaluate`; raises PlanError where there are none.

        Those of the model on manual ROIs, or of that on automatic ones where only this is trained.
        """
        from autodls.evaluation.results import Metrics
        from autodls.stages.session import trained_rois

        place = self.workspace
        return Metrics.load(place.of(trained_rois(place, None)).metrics, "call evaluate (autodls evaluate) first")

    def check(self, *, workers: int = 1) -> "CheckReport":
        """Check table, files and every image; `problems` has a line each, `errors` those that must be repaired."""
        from autodls.stages.check import check

        return check(self.dataset, workers=workers, watch=self.watch)

    def plan(
        self,
        preset: PathLike = "auto",
        *,
        memory_gib: float | None = None,
        device: Literal["auto", "cpu", "cuda"] = "auto",
        encoder_weights: str | None = None,
        encoder: str | None = None,
        encoder_frozen: bool = False,
        workers: int = 1,
        restart: bool = False,
    ) -> "Plan":
        """Measure the training cohort and derive the plan, each value with its reason.

        `preset` is auto, paper, or a file; `memory_gib` what training may use, in GiB; `encoder_weights` imagenet,
        random or a file; `encoder` is the network, and `encoder_frozen` says that it keeps these weights. The plan that
        it replaces is kept; where folds are trained by it, only with `restart`.
        """
        from autodls.planning.request import PlanRequest
        from autodls.stages.plan import plan

        request = PlanRequest(os.fspath(preset), memory_gib, device, encoder_weights, encoder, encoder_frozen)
        return plan(self.dataset, self._workspace, request, workers=workers, restart=restart, watch=self.watch)

    def explain_plan(self) -> "Plan":
        """The plan that is there, checked against the dataset; `told_reasons` says of each value why."""
        from autodls.stages.plan import explain_plan

        return explain_plan(self.dataset, self._workspace)

    def preprocess(self, *, workers: int = 1) -> "Preprocessed":
        """Make the 2.5D samples of the training cohort; `train` does it where it is not done."""
        from autodls.stages.preprocess import preprocess

        return preprocess(self.dataset, self._workspace, workers=workers, watch=self.watch)

    def segment(self, fold: int | Literal["all"] = "all", *, restart: bool = False, workers: int = 1) -> "Segmented":
        """Train nnU-Net on the manual ROIs, and draw every training case by the fold that did not see it."""
        from autodls.stages.segment import segment

        return segment(self.dataset, self._workspace, str(fold), restart=restart, workers=workers, watch=self.watch)

    def train(
        self,
        fold: int | Literal["all"] = "all",
        rois: "RoiKind" = "manual",
        *,
        restart: bool = False,
        workers: int = 1,
        at_once: int | None = None,
        executor: Literal["local", "ray", "slurm"] = "local",
        address: str | None = None,
    ) -> "Trained":
        """Train one fold, or every fold of the plan, and lock the model once all are trained.

        `rois`: on manual or automatic ones; `at_once`: networks that share a GPU, or folds at the same time on a CPU;
        `executor`: this machine, a Ray cluster at `address`, or SLURM.
        """
        from autodls.jobs.executor import executor_of
        from autodls.stages.train import train

        return train(
            self.dataset,
            self._workspace,
            str(fold),
            rois,
            restart=restart,
            workers=workers,
            at_once=at_once,
            executor=executor_of(executor, address, ()),
            watch=self.watch,
        )

    def evaluate(self, rois: "RoiKind | None" = None, *, device: str = "auto", workers: int = 1) -> "Evaluated":
        """Score the held-out cohorts by the locked model and judge it on all cohorts: `metrics`, `rows`, `tables`."""
        from autodls.stages.evaluate import evaluate

        return evaluate(self.dataset, self._workspace, rois, device=device, workers=workers, watch=self.watch)

    def predict(
        self,
        images: PathLike,
        output: PathLike | None = None,
        *,
        rois: PathLike | None = None,
        heatmaps: bool = False,
        overwrite: bool = False,
        device: str = "auto",
        workers: int = 1,
    ) -> "Prediction":
        """Score new cases by the model of this study, as `autodls predict`; without `output` nothing is written.

        `images` and `rois` are folders as `Model.predict` takes them.
        """
        from autodls.stages.predict import predict
        from autodls.stages.session import model_of

        return predict(
            Path(images),
            None if output is None else Path(output),
            model=model_of(self.workspace, drawn=rois is None),
            rois=None if rois is None else Path(rois),
            heatmaps=heatmaps,
            overwrite=overwrite,
            device=device,
            workers=workers,
            watch=self.watch,
        )

    def model(self, rois: "RoiKind" = "manual", device: str = "auto") -> "Model":
        """The locked model that was trained on `rois`, loaded; see `autodls.load_model`."""
        from autodls.scoring import load_model

        return load_model(self.workspace.of(rois).model.root, device)

    def explain(
        self,
        cases: str | Sequence[str] | None = None,
        rois: "RoiKind | None" = None,
        *,
        device: str = "auto",
        workers: int = 1,
    ) -> "Explained":
        """Grad-CAM heat maps of `cases`: ids, or, in a text, how many of the highest and lowest scores."""
        from autodls.stages.explain import explain

        asked = cases if cases is None or isinstance(cases, str) else ",".join(cases)
        return explain(self.dataset, self._workspace, asked, rois, device=device, workers=workers, watch=self.watch)

    def benchmark_rois(self, robustness_cases: int = 8, *, workers: int = 1) -> "Benchmarked":
        """Automatic against manual ROIs: their agreement, and what they do to the score."""
        from autodls.stages.benchmark_rois import benchmark_rois

        return benchmark_rois(self.dataset, self._workspace, robustness_cases, workers=workers, watch=self.watch)

    def report(self, output: PathLike | None = None, *, overwrite: bool = False) -> Path:
        """Write the study as one HTML file, results/report.html of the workspace unless named; returns its path."""
        from autodls.stages.report import report

        target = None if output is None else Path(output)
        return report(self.dataset, self._workspace, target, overwrite=overwrite, watch=self.watch)

    def verify(self, *, workers: int = 1) -> "Verified":
        """Check every hash of the workspace against what it was derived from, images included."""
        from autodls.stages.verify import verify

        return verify(self.workspace.root, self.dataset, workers=workers, watch=self.watch)

    def __repr__(self) -> str:
        try:
            place = self.workspace
        except Exception as failure:  # a repr never fails
            return f"<Study of {self.dataset}: {failure}>"
        kinds: tuple[RoiKind, ...] = ("manual", "auto")
        made = {
            "planned": place.plan.is_file(),
            **{f"trained on {kind} ROIs": place.of(kind).model.record.is_file() for kind in kinds},
            "evaluated": any(place.of(kind).metrics.is_file() for kind in kinds),
            "reported": any(place.of(kind).report.is_file() for kind in kinds),
        }
        done = ", ".join(word for word, is_done in made.items() if is_done) or "nothing done yet"
        return f"<Study of {self.dataset}, workspace {place.root}: {done}>"
