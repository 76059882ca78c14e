"""A study: a dataset folder, its workspace, and one method a stage. What a command does, one call does."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from autodls.study_benchmarks import StudyBenchmarks
from autodls.study_folder import PathLike, path_of
from autodls.study_training import executor_named
from autodls.watch import SILENT, Watch

if TYPE_CHECKING:
    from autodls.evaluation.metrics_record import Metrics
    from autodls.inference.prediction import Prediction
    from autodls.records.export import Runtime
    from autodls.records.model_folders import RoiKind
    from autodls.records.update import Method
    from autodls.report.drawn import Format
    from autodls.stages.demo import Demo
    from autodls.stages.evaluate import Evaluated
    from autodls.stages.explain import Explained
    from autodls.stages.export import Exported
    from autodls.stages.predict_dicom import PredictedStudies
    from autodls.stages.update import Updated
    from autodls.stages.verify import Verified


class Study(StudyBenchmarks):
    """A dataset folder and its workspace.

    Nothing is read, and no folder is made, before a stage needs it. Every stage may be stopped and called again: it
    goes on where it was. Results are records; nothing is printed.

    Parameters
    ----------
    dataset : the folder with dataset.json, the table, imagesTr and labelsTr
    workspace : where results go; DATASET/autodls unless given
    watch : whoever waits is told of progress and warnings (`autodls.watch.Watch`); nobody unless given
    name : an experiment beside others in the workspace, with a plan and results of its own (`--name`)

    Raises
    ------
    InputError
        Every stage, in one line, where the dataset, the workspace or an argument is not as it must be (ArgumentError,
        DatasetError, PlanError, StaleRecordError, ModelFolderError); AutoDLSError where the run itself failed.

    Examples
    --------
    >>> import autodls
    >>> study = autodls.Study("DATASET", name="wide")
    >>> study.check().errors, study.plan().warnings                         # doctest: +SKIP
    >>> study.train(); study.evaluate().metrics                             # doctest: +SKIP
    """

    def evaluate(
        self,
        rois: "RoiKind | None" = None,
        *,
        device: str = "auto",
        workers: int = 1,
        executor: Literal["local", "ray", "slurm"] = "local",
        address: str | None = None,
        slurm: Mapping[str, str | int] | None = None,
    ) -> "Evaluated":
        """Score the held-out cohorts by the locked model and judge it on all cohorts: `metrics`, `rows`, `tables`.

        `executor`, `address` and `slurm`: see `train`.
        """
        from autodls.stages.evaluate import evaluate

        return evaluate(
            self.dataset,
            self._place(),
            rois,
            device=device,
            workers=workers,
            executor=executor_named(executor, address, slurm),
            watch=self.watch,
        )

    def predict(
        self,
        images: PathLike,
        output: PathLike | None = None,
        *,
        rois: PathLike | None = None,
        clinical: PathLike | None = None,
        model: PathLike | None = None,
        key: PathLike | None = None,
        heatmaps: bool = False,
        overwrite: bool = False,
        device: str = "auto",
        workers: int = 1,
    ) -> "Prediction":
        """Score new cases by the model of this study, as `autodls predict`; without `output` nothing is written.

        `images` and `rois` are folders as `Model.predict` takes them. `model` is another model, or a locked candidate,
        such as `compare(lock=True).locked.parent`, which may need the table `clinical`. It has to be signed with the
        public `key`, a PEM file, where one is given.
        """
        from autodls.stages.predict import predict
        from autodls.stages.session import model_of

        return predict(
            Path(images),
            path_of(output),
            model=path_of(model) or model_of(self.workspace, drawn=rois is None),
            key=path_of(key),
            rois=path_of(rois),
            clinical=path_of(clinical),
            heatmaps=heatmaps,
            overwrite=overwrite,
            device=device,
            workers=workers,
            watch=self.watch,
        )

    def predict_dicom(
        self,
        images: PathLike,
        output: PathLike,
        *,
        dicom: PathLike | None = None,
        series: Sequence[str] = (),
        roi_names: Sequence[str] = (),
        rois: PathLike | None = None,
        key: PathLike | None = None,
        heatmaps: bool = False,
        overwrite: bool = False,
        device: str = "auto",
        workers: int = 1,
    ) -> "PredictedStudies":
        """Score DICOM studies below `images` by the model of this study, as `autodls predict --dicom`.

        Into the folder `dicom` go the results of each study as DICOM; `series` says which is a channel of the model, as
        "CHANNEL=DESCRIPTION", `roi_names` which ROIs of RTSTRUCT and SEG are the tumor; `key`: see `predict`.
        """
        from autodls.stages.predict_dicom import predict_dicom
        from autodls.stages.session import model_of

        return predict_dicom(
            Path(images),
            Path(output),
            model=model_of(self.workspace, drawn=rois is None and not roi_names),
            dicom=path_of(dicom),
            series=series,
            roi_names=roi_names,
            rois=path_of(rois),
            key=path_of(key),
            heatmaps=heatmaps,
            overwrite=overwrite,
            device=device,
            workers=workers,
            watch=self.watch,
        )

    def update(
        self,
        model: PathLike,
        output: PathLike | None = None,
        *,
        method: "Method | None" = None,
        device: str = "auto",
        workers: int = 1,
    ) -> "Updated":
        """Fit probability and cut-off of another site's `model` folder to this dataset's training cohort.

        As `autodls update`; without `output` nothing is written.
        """
        from autodls.stages.update import update

        place = (self.dataset, path_of(output))
        return update(*place, model=Path(model), method=method, device=device, workers=workers, watch=self.watch)

    def export(
        self,
        output: PathLike,
        to: "Runtime" = "onnx",
        *,
        images: PathLike | None = None,
        rois: PathLike | None = None,
        workers: int = 1,
    ) -> "Exported":
        """Write this study's model for another runtime, as `autodls export`: `record.shown` says how equal it is."""
        from autodls.stages import export, session

        model, cases, drawn = session.model_of(self.workspace, drawn=False), path_of(images), path_of(rois)
        place, watch = Path(output), self.watch
        return export.export(place, model=model, to=to, images=cases, rois=drawn, workers=workers, watch=watch)

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
        return explain(self.dataset, self._place(), asked, rois, device=device, workers=workers, watch=self.watch)

    def report(
        self,
        output: PathLike | None = None,
        rois: "RoiKind | None" = None,
        *,
        docx: bool = False,
        figures: "Sequence[Format]" = (),
        labels: PathLike | None = None,
        overwrite: bool = False,
    ) -> Path:
        """Write the study as one HTML file, results/report.html of the workspace unless named; returns its path.

        With `docx` the draft of a paper lies beside it, a Word file of the same name, and with `figures`, of "pdf",
        "svg", "tiff", every figure for a journal; `labels` is a JSON file that says what names are called.
        """
        from autodls.stages.journal import Shown
        from autodls.stages.report import report

        shown, place = Shown(tuple(figures), path_of(labels)), (self.dataset, self._place(), path_of(output), rois)
        return report(*place, docx=docx, shown=shown, overwrite=overwrite, watch=self.watch)

    def verify(self, *, workers: int = 1) -> "Verified":
        """Check every hash of the workspace against what it was derived from, images included."""
        from autodls.stages.verify import verify

        return verify(self.workspace.root, self.dataset, workers=workers, watch=self.watch)

    @staticmethod
    def demo(
        folder: PathLike,
        cases: int | None = None,
        difficulty: float | None = None,
        seed: int = 0,
        *,
        permute_labels: bool = False,
        workers: int = 2,
        watch: Watch = SILENT,
    ) -> "Demo":
        """Write a phantom cohort into `folder` and run every stage on it; no data are needed, minutes on a laptop.

        `cases`: those of the training cohort, 72 unless given; `difficulty`: 0 (plain) to 1 (drowned), 0.1 unless
        given; `permute_labels`: shuffled labels, of which an honest pipeline finds nothing. `rows` of what comes back
        are the AUCs, `best_auc` the best that could be reached, and `Study(demo.dataset, demo.workspace.root)` goes on.

        >>> made = Study.demo("demo")                                           # doctest: +SKIP
        >>> [(row.row, row.text, made.best_auc(row.row)) for row in made.rows]  # doctest: +SKIP
        """
        from autodls.stages.demo import demo

        asked = (Path(folder), cases, difficulty, seed)
        return demo(*asked, permute_labels=permute_labels, workers=workers, watch=watch)

    @staticmethod
    def evaluate_scores(
        table: PathLike,
        score: str | Sequence[str],
        label: str | None = None,
        *,
        cohort: str | None = None,
        patient: str | None = None,
        cutoff: Mapping[str, float] | None = None,
        cutoff_from: str | None = None,
        time: str | None = None,
        event: str | None = None,
        landmark: float | None = None,
        out_of_fold: Sequence[str] = (),
        output: PathLike | None = None,
        overwrite: bool = False,
        figures: "Sequence[Format]" = (),
        labels: PathLike | None = None,
        watch: Watch = SILENT,
    ) -> "Metrics":
        """Judge any `table` of scores (CSV or .xlsx), as `autodls evaluate --scores`; no study is needed.

        `score` names its score columns, the first the reference of comparisons; `label` a column of 0 and 1, `time` and
        `event` follow-up (one of the two is needed); `cutoff` is by score; `out_of_fold` the cohorts that a
        cross-validation scored. With `output` metrics, tables, figures and a page are written there; `figures` and
        `labels`: as in `report`. Raises ArgumentError and DatasetError.

        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     table = Path(folder, "scores.csv")
        ...     _ = table.write_text("dls,y" + "".join(f"\\n0.{n},{n % 2}" for n in range(1, 9)))
        ...     found = Study.evaluate_scores(table, "dls", "y", cutoff={"dls": 0.5})
        >>> found.cohorts["all"].scores["dls"].auc.value
        0.375
        """
        from autodls.stages.evaluate_scores import TableRequest, evaluate_scores

        scores, shown = (score,) if isinstance(score, str) else tuple(score), (tuple(figures), path_of(labels))
        cutoffs = tuple(f"{name}={value!r}" for name, value in (cutoff or {}).items())
        columns = (Path(table), scores, label, cohort, patient, cutoffs, cutoff_from, time, event, landmark)
        request = TableRequest(*columns, tuple(out_of_fold), path_of(output), overwrite, *shown)
        return evaluate_scores(request, watch=watch)
