"""Every file name of a workspace and of a model folder; those of nnU-Net and of heat maps, in modules of their own."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from autodls.records.case_id import case_id_fault
from autodls.records.files import sha256_of_bytes
from autodls.records.heatmap_folder import HeatmapFolder
from autodls.records.model_folders import PROVENANCE, FoldFolder, ModelFolder, RoiKind
from autodls.records.segmentation_folders import SegmentationFolder, SegmenterFolder

EXPERIMENTS = "experiments"
_HASHED = re.compile(r"-[0-9a-f]{8}$")  # how names end that `safe_name` has changed


@dataclass(frozen=True)
class Workspace:
    """The folder that holds everything derived from a dataset.

    Fingerprint, plan, splits and automatic ROIs are shared. All that depends on whose ROIs a classifier is trained on
    lies in `home`, so that both kinds can stand side by side.
    """

    root: Path
    rois: RoiKind = "manual"

    @property
    def home(self) -> Path:
        """Where samples, folds, model and results of this kind of ROI lie."""
        return self.root if self.rois == "manual" else self.root / "auto"

    def of(self, rois: RoiKind) -> "Workspace":
        """The same workspace for the other kind of ROI, or this one."""
        return replace(self, rois=rois)

    def experiment(self, name: str) -> "Workspace":
        """The workspace of the experiment `name` in this one; see `autodls.stages.experiments`."""
        return replace(self, root=self.root / EXPERIMENTS / name)

    @property
    def experiments(self) -> tuple["Workspace", ...]:
        """The experiments that have a plan, in the order of their names."""
        plans = sorted((self.root / EXPERIMENTS).glob(f"*/{self.plan.name}"))
        return tuple(replace(self, root=path.parent) for path in plans)

    @staticmethod
    def may_be_experiment(root: Path) -> bool:
        """Whether `root` lies where experiments do."""
        return root.parent.name == EXPERIMENTS

    @property
    def base(self) -> "Workspace":
        """The workspace that an experiment lies in, whose splits it shares; any other workspace itself."""
        around = replace(self, root=self.root.parent.parent)
        return around if self.may_be_experiment(self.root) and around.splits.is_file() else self

    @property
    def beside(self) -> tuple["Workspace", ...]:
        """The others of the same splits: the workspace that an experiment lies in, and its experiments."""
        return tuple(one for one in (self.base, *self.base.experiments) if one != self)

    @property
    def expected_files(self) -> tuple[Path, ...]:
        """What must be a file where it is there."""
        results = (self.metrics, self.comparison, self.learning_curve, self.image_benchmark, self.report)
        own = (self.provenance, self.oof_scores, *results)
        shared = (self.fingerprint, self.plan, self.previous_plan, self.splits, self.previous_splits)
        return (self.lock, *shared, *own)

    @property
    def expected_folders(self) -> tuple[Path, ...]:
        """What must be a folder where it is there, each after the one that it lies in."""
        folds = self.fold(0).root.parent
        own = (self.home, self.sample("").parent, folds, self.model.root, self.report.parent, self.tables, self.figures)
        single = tuple(sorted(path for path in folds.iterdir() if path.name.isdecimal())) if folds.is_dir() else ()
        candidates = (self.radiomics("").parent, self.fold_comparison(0).parent, self.candidate)
        curve = (self.on_subset("").root.parent, self.on_subset("").root)
        return (*own, *single, *candidates, *curve, self.auto_roi("").parent, self.segmented.parent)

    @property
    def fingerprint(self) -> Path:
        """Written by `autodls plan`."""
        return self.root / "fingerprint.json"

    @property
    def plan(self) -> Path:
        """Written by `autodls plan`; a person may edit it."""
        return self.root / "plan.json"

    @property
    def previous_plan(self) -> Path:
        """The plan that the last one replaced; older ones lie beside it, by number."""
        return self.root / "plan.previous.json"

    @property
    def provenance(self) -> Path:
        """Which commands made what is here, and from what."""
        return self.home / PROVENANCE

    @property
    def splits(self) -> Path:
        """Written once by `autodls plan`."""
        return self.root / "splits.json"

    @property
    def previous_splits(self) -> Path:
        """The splits that the last ones replaced; older ones lie beside them, by number."""
        return self.root / "splits.previous.json"

    def sample(self, case: str) -> Path:
        """The 2.5D sample of `case`."""
        return self.home / "preprocessed" / f"{case}.safetensors"

    def radiomics(self, case: str) -> Path:
        """The radiomic features of a training case."""
        return self.home / "radiomics" / f"{case}.json"

    def fold_comparison(self, index: int) -> Path:
        """What fold `index` says of every candidate."""
        return self.home / "compare" / f"fold_{index}.json"

    def curve_run(self, candidate: str, repeat: int, fold: int) -> Path:
        """Scores of a fold by what a candidate learned from subsets, for its learning curve."""
        return self.home / "learning_curve" / candidate / f"repeat_{repeat}_fold_{fold}.json"

    def on_subset(self, name: str) -> "Workspace":
        """The workspace of networks that are trained on a subset of each fold, for the learning curve."""
        return Workspace(self.home / "learning_curve" / "networks" / name)

    @property
    def learning_curve(self) -> Path:
        """How the AUC of a candidate grows with patients."""
        return self.home / "results" / "learning_curve.json"

    @property
    def image_benchmark(self) -> Path:
        """What worse images do to the score."""
        return self.home / "results" / "benchmark_images.json"

    @property
    def image_benchmark_scores(self) -> Path:
        """Scores of worse images that were made before."""
        return self.home / "results" / "benchmark_images_scores.json"

    @property
    def candidate(self) -> Path:
        """The folder of a locked candidate, with its networks where it has some."""
        return self.home / "candidate"

    @property
    def comparison(self) -> Path:
        """Candidates beside each other on the same folds."""
        return self.home / "results" / "compare.json"

    @property
    def features(self) -> Path:
        """Features of encoders that are not trained, by the hash of what they come from; one for all experiments."""
        return self.base.root / "features"

    @property
    def segmentation(self) -> SegmentationFolder:
        """The nnU-Net stage, one for all experiments."""
        return SegmentationFolder(self.base.root / "segmentation")

    def auto_roi(self, case: str) -> Path:
        """The automatic ROI of a training case, drawn by the fold that did not see it, on the ROI channel's grid."""
        return self.base.root / "rois" / f"{case}.nii.gz"

    @property
    def segmented(self) -> Path:
        """What is known of each automatic ROI."""
        return self.base.root / "segmentation" / "masks.json"

    @property
    def ensemble_segmenter(self) -> SegmenterFolder:
        """The networks of all folds, which draw the automatic ROIs of held-out cases."""
        return SegmenterFolder(self.base.root / "segmentation" / "ensemble")

    def fold(self, index: int) -> FoldFolder:
        """Weights, log and scores of fold `index`."""
        return FoldFolder(self.home / "folds" / str(index))

    @property
    def oof_scores(self) -> Path:
        """Out-of-fold scores of every training case."""
        return self.home / "oof_scores.csv"

    @property
    def model(self) -> ModelFolder:
        """The locked ensemble."""
        return ModelFolder(self.home / "model")

    @property
    def lock(self) -> Path:
        """Held by the one process that writes here."""
        return self.root / ".lock"

    def fold_lock(self, index: int) -> Path:
        """Held by the one process that trains fold `index`."""
        return self.home / "folds" / f".lock-{index}"

    def segmentation_lock(self, index: int) -> Path:
        """Held by the one process that trains nnU-Net on fold `index`."""
        return self.root / "segmentation" / f".lock-{index}"

    @property
    def shared_lock(self) -> Path:
        """Held for what processes that train different folds share: samples and records, one after the other."""
        return self.root / ".lock-shared"

    @property
    def jobs(self) -> Path:
        """Folders of the jobs that a cluster does, until they are done."""
        return self.home / "jobs"

    @property
    def metrics(self) -> Path:
        """Every figure of the evaluation."""
        return self.home / "results" / "metrics.json"

    def table(self, name: str) -> Path:
        """A table of the evaluation."""
        return self.home / "results" / "tables" / f"{name}.csv"

    @property
    def tables(self) -> Path:
        """The tables of the evaluation."""
        return self.home / "results" / "tables"

    @property
    def figures(self) -> Path:
        """The figures of the evaluation, each as PNG, SVG and CSV."""
        return self.home / "results" / "figures"

    @property
    def heatmaps(self) -> HeatmapFolder:
        """The explained cases."""
        return HeatmapFolder(self.home / "results" / "heatmaps")

    @property
    def report(self) -> Path:
        """The whole study as one HTML file."""
        return self.home / "results" / "report.html"

    @property
    def paper(self) -> Path:
        """The same as the draft of a paper, a Word file."""
        return self.report.with_suffix(".docx")

    @property
    def report_figures(self) -> Path:
        """The figures of the report as a journal takes them."""
        return self.home / "results" / "report_figures"

    def heldout_roi(self, case: str) -> Path:
        """The automatic ROI of a held-out case, drawn by the ensemble."""
        return self.home / "results" / "rois" / f"{case}.nii.gz"

    @property
    def heldout_rois(self) -> Path:
        """Which networks drew the automatic ROIs of held-out cases, from which bytes."""
        return self.home / "results" / "rois" / "masks.json"

    @property
    def roi_benchmark(self) -> Path:
        """Automatic against manual ROIs; one for both kinds."""
        return self.root / "results" / "benchmark_rois.json"

    @property
    def roi_benchmark_scores(self) -> Path:
        """Scores that the benchmark of ROIs made, by the hash of what they are derived from."""
        return self.root / "results" / "benchmark_rois_scores.json"

    def heldout_scores(self, cohort: str) -> Path:
        """Scores of a held-out cohort by the locked model."""
        return self.home / "results" / "scores" / f"{safe_name(cohort)}.csv"

    def heldout_record(self, cohort: str) -> Path:
        """The same with model and input hashes, by which they are known to be still good."""
        return self.heldout_scores(cohort).with_suffix(".json")


def finished_rows(record: Path) -> Path:
    """Where the finished rows of a JSON `record` lie, beside it, until it is made."""
    return record.with_suffix(".partial.jsonl")


def safe_name(name: str) -> str:
    """A file name for a user's `name`: itself where it is safe, else its letters and a hash.

    >>> safe_name("external"), safe_name("a/b: <c>")
    ('external', 'a_b_c-79097b90')
    """
    if case_id_fault(name) is None and "." not in name and not _HASHED.search(name):
        return name
    letters = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")[:40]
    return f"{letters or 'cohort'}-{sha256_of_bytes(name.encode())[:8]}"
