"""A study up to its locked model: one method for each stage that a training cohort goes through, and one for all."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from autodls.study_folder import PathLike, StudyFolder, path_of
from autodls.watch import SILENT, Watch

if TYPE_CHECKING:
    from autodls.dicom.dataset_files import LabelSource
    from autodls.jobs.executor import Executor
    from autodls.planning.check import CheckReport
    from autodls.records.model_folders import RoiKind
    from autodls.records.plan import Plan
    from autodls.stages.dicom_places import Imported
    from autodls.stages.init import Initialised
    from autodls.stages.plan import Planned
    from autodls.stages.preprocess import Preprocessed
    from autodls.stages.run import StudyRun
    from autodls.stages.segment import Segmented
    from autodls.stages.sign import SignedModel
    from autodls.stages.track import Tracked
    from autodls.stages.train import Trained


class StudyTraining(StudyFolder):
    """What makes the locked model of a study; `watch` is told of progress and warnings. See `Study`."""

    def __init__(
        self, dataset: PathLike, workspace: PathLike | None = None, watch: Watch = SILENT, *, name: str | None = None
    ) -> None:
        super().__init__(dataset, workspace, name)
        self.watch = watch

    def import_dicom(
        self,
        dicom: PathLike,
        *,
        confidential: PathLike | None = None,
        roi_names: Sequence[str] = (),
        labels: "LabelSource | None" = None,
        restart: bool = False,
        workers: int = 1,
    ) -> "Imported":
        """Make the dataset of the DICOM studies in the folder `dicom`, as `autodls import`, in two calls.

        The first writes series.csv (`table`), for a person to correct; the second converts by it. `confidential` is
        where it and ids.csv lie, DATASET-confidential unless given; `roi_names` are patterns (`GTV*`) of the tumour.
        """
        from autodls.stages.import_dicom import import_dicom

        place = None if confidential is None else Path(confidential)
        return import_dicom(
            Path(dicom),
            self.dataset,
            confidential=place,
            roi_names=roi_names,
            labels=labels,
            restart=restart,
            workers=workers,
            watch=self.watch,
        )

    def init(
        self,
        folder: PathLike,
        table: PathLike,
        outcome: str,
        *,
        positive: str | None = None,
        case: str | None = None,
        patient: str | None = None,
        cohort: str | None = None,
        training: str | None = None,
        site: str | None = None,
        clinical: str | None = None,
        channel: Sequence[str] = (),
        roi_channel: str | None = None,
        tumor: str | None = None,
        yes: bool = False,
        overwrite: bool = False,
        workers: int = 1,
    ) -> "Initialised":
        """Make this dataset of a `folder` of images and a `table`, as `autodls init`, and check it.

        Options are those of the command; guesses are taken with `yes` alone, and told in `guesses`. Where `folder` is
        the dataset itself, as in nnU-Net's form, only dataset.json and the table are written.
        """
        from autodls.stages.init import given_answers, init

        said = {"outcome": outcome, "positive": positive, "case": case, "patient": patient, "cohort": cohort,
                "training": training, "site": site, "clinical": clinical, "roi_channel": roi_channel,
                "tumor": tumor}  # fmt: skip
        output = None if Path(folder) == self.dataset else self.dataset
        return init(
            Path(folder),
            Path(table),
            given_answers(said, channel),
            output,
            yes=yes,
            overwrite=overwrite,
            workers=workers,
            watch=self.watch,
        )

    def run(
        self,
        rois: "RoiKind" = "manual",
        *,
        preset: PathLike | None = None,
        device: Literal["auto", "cpu", "cuda"] = "auto",
        compare: bool = False,
        workers: int = 1,
    ) -> "StudyRun":
        """Do every stage that is not done yet, in order, to the report (`preset`, `device`: of a plan to be made)."""
        from autodls.stages.run import run

        return run(self._run_settings(rois, preset, device, compare, workers), watch=self.watch)

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
    ) -> "Planned":
        """Measure the training cohort and derive the plan, each value with its reason.

        `preset` is auto, paper, or a file; `memory_gib` what training may use, in GiB; `encoder_weights` imagenet,
        random, a file, or the folder of a MONAI bundle; `encoder` is the network, and `encoder_frozen` says that it
        keeps these weights. The plan that it replaces is kept; where folds are trained by it, only with `restart`. Of
        what comes back, `plan` is the plan, and `warnings` say what to look at before it is trained.
        """
        from autodls.planning.request import PlanRequest
        from autodls.stages.plan import plan

        request = PlanRequest(str(preset), memory_gib, device, encoder_weights, encoder, encoder_frozen)
        return plan(self.dataset, self._place(new=True), request, workers=workers, restart=restart, watch=self.watch)

    def explain_plan(self) -> "Plan":
        """The plan that is there, checked against the dataset; `told_reasons` says of each value why."""
        from autodls.stages.plan import explain_plan

        return explain_plan(self.dataset, self._place())

    def preprocess(self, *, workers: int = 1) -> "Preprocessed":
        """Make the 2.5D samples of the training cohort; `train` does it where it is not done."""
        from autodls.stages.preprocess import preprocess

        return preprocess(self.dataset, self._place(), workers=workers, watch=self.watch)

    def track(
        self,
        tensorboard: PathLike | None = None,
        mlflow: PathLike | None = None,
        *,
        remote: bool = False,
        follow: bool = False,
    ) -> "Tracked":
        """Write learning curves into the folder `tensorboard`, or the MLflow store `mlflow`, as `autodls track`.

        The store is a folder; a server is refused unless `remote`. With `follow` until every fold is trained.
        """
        from autodls.stages.track import track

        folder, store = path_of(tensorboard), None if mlflow is None else str(mlflow)
        return track(
            self.dataset,
            self._place(),
            tensorboard=folder,
            mlflow=store,
            remote=remote,
            follow=follow,
            watch=self.watch,
        )

    def sign(
        self, key: PathLike, model: PathLike | None = None, ask: "Callable[[], str] | None" = None
    ) -> "SignedModel":
        """Sign this study's model, or the folder `model`, with the private `key`, a PEM file, as `autodls sign`.

        `ask` gives the passphrase of an encrypted key that is not in the environment. Who has the public key checks it
        by `predict(key=)`, `load_model(MODEL, key=)` or `load_model(MODEL).verify(key)`.
        """
        from autodls.stages.session import model_of
        from autodls.stages.sign import sign

        return sign(path_of(model) or model_of(self.workspace, drawn=False), key=Path(key), ask=ask, watch=self.watch)

    def segment(
        self,
        fold: int | Literal["all"] = "all",
        *,
        restart: bool = False,
        workers: int = 1,
        executor: Literal["local", "ray", "slurm"] = "local",
        address: str | None = None,
        slurm: Mapping[str, str | int] | None = None,
    ) -> "Segmented":
        """Train nnU-Net on the manual ROIs, and draw every training case by the fold that did not see it.

        `executor`, `address` and `slurm`: see `train`.
        """
        from autodls.stages.segment import segment

        return segment(
            self.dataset,
            self._place(),
            str(fold),
            restart=restart,
            workers=workers,
            executor=executor_named(executor, address, slurm),
            watch=self.watch,
        )

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
        slurm: Mapping[str, str | int] | None = None,
    ) -> "Trained":
        """Train one fold, or every fold of the plan, and lock the model once all are trained.

        `rois`: on manual or automatic ones; `at_once`: networks that share a GPU, or folds at the same time on a CPU;
        `executor`: this machine, a Ray cluster at `address`, or SLURM, whose sbatch is told `slurm`, such as
        {"partition": "gpu"}.
        """
        from autodls.stages.train import train

        return train(
            self.dataset,
            self._place(),
            str(fold),
            rois,
            restart=restart,
            workers=workers,
            at_once=at_once,
            executor=executor_named(executor, address, slurm),
            watch=self.watch,
        )


def executor_named(
    name: Literal["local", "ray", "slurm"], address: str | None, slurm: Mapping[str, str | int] | None
) -> "Executor":
    """The executor that these words name; raises ArgumentError for those of another one."""
    from autodls.jobs.executor import executor_of

    return executor_of(name, address, [f"{option}={value}" for option, value in (slurm or {}).items()])
