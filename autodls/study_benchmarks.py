"""What a study is worth beside something simpler, other ROIs, fewer sequences or more patients, as `Study` gives it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from autodls.study_training import StudyTraining, executor_named

if TYPE_CHECKING:
    from autodls.records.model_folders import RoiKind
    from autodls.stages.benchmark_images import ImagesBenchmarked
    from autodls.stages.benchmark_patients import Patients
    from autodls.stages.benchmark_rois import Benchmarked
    from autodls.stages.benchmark_sequences import Sequences
    from autodls.stages.compare import ComparedStudy


class StudyBenchmarks(StudyTraining):
    """The comparisons and benchmarks of a study whose folds are trained."""

    def compare(
        self,
        rois: "RoiKind | None" = None,
        *,
        also: str | Sequence[str] = (),
        lock: bool | str = False,
        workers: int = 1,
        executor: Literal["local", "ray", "slurm"] = "local",
        address: str | None = None,
        slurm: Mapping[str, str | int] | None = None,
    ) -> "ComparedStudy":
        """Every candidate on the same folds, the choice between them nested: `comparison`, `tables`.

        `also` names experiments whose networks are candidates too, or "all". `lock` names a candidate to lock, or is
        True for the chosen one: `locked` is its record. `executor`, `address` and `slurm`: see `train`.
        """
        from autodls.stages.compare import compare

        return compare(
            self.dataset,
            self._place(),
            rois,
            also=(also,) if isinstance(also, str) else tuple(also),
            lock=lock,
            workers=workers,
            executor=executor_named(executor, address, slurm),
            watch=self.watch,
        )

    def benchmark_rois(self, robustness_cases: int = 8, *, workers: int = 1) -> "Benchmarked":
        """Automatic against manual ROIs: their agreement, and what they do to the score."""
        from autodls.stages.benchmark_rois import benchmark_rois

        return benchmark_rois(self.dataset, self._place(), robustness_cases, workers=workers, watch=self.watch)

    def benchmark_sequences(self, *, device: str = "auto", workers: int = 1) -> "Sequences":
        """What each sequence is worth to the locked model: the cases scored with it and as if it were missing."""
        from autodls.stages.benchmark_sequences import benchmark_sequences

        return benchmark_sequences(self.dataset, self._place(), device=device, workers=workers, watch=self.watch)

    def benchmark_images(
        self, most_cases: int | None = None, *, device: str = "auto", workers: int = 1
    ) -> "ImagesBenchmarked":
        """What motion, ghosts, bias field, noise, blur and thick slices do to the score: `benchmark`, `table`."""
        from autodls.stages.benchmark_images import benchmark_images

        return benchmark_images(
            self.dataset, self._place(), most_cases, device=device, workers=workers, watch=self.watch
        )

    def benchmark_patients(
        self,
        rois: "RoiKind | None" = None,
        *,
        candidate: str | None = None,
        repeats: int | None = None,
        label_agreement: float | None = None,
        label_source: str | None = None,
        half_width: float = 0.05,
        workers: int = 1,
        executor: Literal["local", "ray", "slurm"] = "local",
        address: str | None = None,
        slurm: Mapping[str, str | int] | None = None,
    ) -> "Patients":
        """How the AUC of a candidate grows with patients, and what more of them may bring: `benchmark`, `table`.

        `label_agreement` is the kappa of two readers, published in `label_source`; see `autodls.stats.auc_ceiling`.
        """
        from autodls.stages.benchmark_patients import benchmark_patients

        return benchmark_patients(
            self.dataset,
            self._place(),
            rois,
            candidate=candidate,
            repeats=repeats,
            label_agreement=label_agreement,
            label_source=label_source,
            half_width=half_width,
            workers=workers,
            executor=executor_named(executor, address, slurm),
            watch=self.watch,
        )
