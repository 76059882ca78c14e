"""What lies in a dataset folder and its workspace, and what a stage would do there, as `Study` gives it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from autodls.stages.experiments import experiment_of
from autodls.stages.session import planned, workspace_of

if TYPE_CHECKING:
    from autodls.evaluation.metrics_record import Metrics
    from autodls.records.cohort import Cohort
    from autodls.records.model_folders import RoiKind
    from autodls.records.plan import Plan
    from autodls.records.workspace import Workspace
    from autodls.scoring import Model
    from autodls.stages.run_standing import RunSettings

PathLike = str | os.PathLike[str]


class StudyFolder:
    """A dataset folder and its workspace, or the experiment `name` in it; nothing is made here."""

    def __init__(self, dataset: PathLike, workspace: PathLike | None = None, name: str | None = None) -> None:
        self.dataset, self.name = Path(dataset), name
        self._given = None if workspace is None else Path(workspace)

    def _place(self, *, new: bool = False) -> Path | None:
        """The folder that stages work in, None for that of the dataset; a `new` experiment need not be there."""
        return experiment_of(self.dataset, self._given, self.name, new=new)

    @property
    def workspace(self) -> "Workspace":
        """Where results lie: every file by name.

        Raises ArgumentError where the place is taken or cannot be, or where there is no such experiment.
        """
        return workspace_of(self.dataset, self._place())

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
        from autodls.evaluation.metrics_record import Metrics
        from autodls.stages.session import trained_rois

        place = self.workspace
        return Metrics.load(place.of(trained_rois(place, None)).metrics, "call evaluate (autodls evaluate) first")

    def model(self, rois: "RoiKind" = "manual", device: str = "auto") -> "Model":
        """The locked model that was trained on `rois`, loaded; see `autodls.load_model`."""
        from autodls.scoring import load_model

        return load_model(self.workspace.of(rois).model.root, device)

    def dry_run(
        self,
        rois: "RoiKind" = "manual",
        *,
        preset: PathLike | None = None,
        device: Literal["auto", "cpu", "cuda"] = "auto",
        compare: bool = False,
        workers: int = 1,
    ) -> tuple[str, ...]:
        """Which stages `run` would do, and how long it may take, in lines; nothing is written."""
        from autodls.stages.run import dry_run

        return tuple(dry_run(self._run_settings(rois, preset, device, compare, workers)))

    def _run_settings(
        self,
        rois: "RoiKind",
        preset: PathLike | None,
        device: Literal["auto", "cpu", "cuda"],
        compare: bool,
        workers: int,
    ) -> "RunSettings":
        from autodls.stages.run_standing import RunSettings

        given = None if preset is None else str(preset)
        return RunSettings(self.dataset, self._place(new=True), rois, given, device, compare, workers)

    def dry_train(
        self,
        fold: int | Literal["all"] = "all",
        rois: "RoiKind" = "manual",
        *,
        restart: bool = False,
        workers: int = 1,
    ) -> tuple[str, ...]:
        """What `train` would make and keep, and how long it may take, in lines; nothing is written."""
        from autodls.stages.dry_run import dry_train

        return tuple(dry_train(self.dataset, self._place(), str(fold), rois, restart=restart, workers=workers))

    def dry_segment(
        self, fold: int | Literal["all"] = "all", *, restart: bool = False, workers: int = 1
    ) -> tuple[str, ...]:
        """What `segment` would train, and how long it may take, in lines."""
        from autodls.stages.dry_run import dry_segment

        return tuple(dry_segment(self.dataset, self._place(), str(fold), restart=restart, workers=workers))

    def dry_evaluate(self, rois: "RoiKind | None" = None) -> tuple[str, ...]:
        """Which held-out cases `evaluate` would score, in lines."""
        from autodls.stages.dry_run import dry_evaluate

        return tuple(dry_evaluate(self.dataset, self._place(), rois))

    def dry_predict(
        self, images: PathLike, output: PathLike, *, rois: PathLike | None = None, overwrite: bool = False
    ) -> tuple[str, ...]:
        """Which cases `predict` would score, and by which model, in lines."""
        from autodls.stages.dry_run import dry_predict
        from autodls.stages.session import model_of

        model = model_of(self.workspace, drawn=rois is None)
        return tuple(
            dry_predict(Path(images), None if rois is None else Path(rois), Path(output), model, overwrite=overwrite)
        )

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


def path_of(given: PathLike | None) -> Path | None:
    """`given` as a path, where it is given."""
    return None if given is None else Path(given)
