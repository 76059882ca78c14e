"""Everything a run has left behind, read into one record: what is there, what is missing, what cannot be read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from autodls.analysis.comparison_results import Comparison
from autodls.analysis.images_records import ImageBenchmark
from autodls.analysis.patients_results import PatientsBenchmark
from autodls.analysis.rois_records import RoiBenchmark
from autodls.evaluation.metrics_record import Metrics
from autodls.evaluation.score_auc import OUT_OF_FOLD
from autodls.records.cells import read_number
from autodls.records.dataset import DatasetDescription
from autodls.records.fingerprint import Fingerprint
from autodls.records.locked_candidate import LockedCandidate
from autodls.records.model import ModelRecord
from autodls.records.plan import Plan
from autodls.records.provenance import Provenance
from autodls.records.splits import Splits
from autodls.records.training_log import LoggedStage

TABLES = (
    "auc", "baseline", "baseline_by_outcome", "performance", "comparisons", "survival", "landmark", "ledger",
    "shortcuts", "folds", "sequences",
)  # fmt: skip
FIGURES = ("cohort_flow", "roc", "calibration", "decision_curve", "kaplan_meier")
ALL_MAPS = "all"  # in the tables of heat maps: the maps of all sequences, added up
_PLAN, _TRAIN, _EVALUATE = "autodls plan", "autodls train fold all", "autodls evaluate"

Line = Mapping[str, str]


@dataclass(frozen=True)
class Artefact:
    """Where something of a run lies, below the workspace, and the command that makes it."""

    path: str
    command: str


ARTEFACTS: Mapping[str, Artefact] = {
    "description": Artefact("dataset.json", "autodls report -d DATASET"),
    "fingerprint": Artefact("fingerprint.json", _PLAN),
    "plan": Artefact("plan.json", _PLAN),
    "splits": Artefact("splits.json", _PLAN),
    "out_of_fold": Artefact("oof_scores.csv", _TRAIN),
    "model": Artefact("model/model.json", _TRAIN),
    "metrics": Artefact("results/metrics.json", _EVALUATE),
    **{f"table:{name}": Artefact(f"results/tables/{name}.csv", _EVALUATE) for name in TABLES},
    **{f"figure:{name}": Artefact(f"results/figures/{name}.svg", _EVALUATE) for name in FIGURES},
    "heatmaps": Artefact("results/heatmaps", "autodls explain"),
}
_OPTIONAL = frozenset(
    {f"table:{name}" for name in ("survival", "landmark", "shortcuts", "baseline", "baseline_by_outcome", "folds")}
    | {"table:sequences", "figure:kaplan_meier"}
)


@dataclass(frozen=True)
class ReportedCase:
    """A case of a score table; `label` is None where the table does not know it, `group` the fold or the cohort."""

    case: str
    group: str
    label: bool | None
    score: float | None
    cells: Line = field(default_factory=dict)


@dataclass(frozen=True)
class Picture:
    """An image file: its bytes and its media type."""

    content: bytes
    media: str


@dataclass(frozen=True)
class Artefacts:
    """What a report is made from. A record is None where its file is missing or, by `faults`, cannot be read.

    `plan` and `fingerprint` are those that the model was locked with, where there is a model: what was trained. Those
    that lie in the workspace now are `plan_now` and `fingerprint_now`. `paths` says of these where they were read.
    `outdated` names, by command, files of the dataset that have changed since it made its results.
    Results of anybody's scores, which have no workspace, name `of_table`, the file with the scores.
    """

    of_table: str | None = None

    description: DatasetDescription | None = None
    fingerprint: Fingerprint | None = None
    plan: Plan | None = None
    plan_now: Plan | None = None
    fingerprint_now: Fingerprint | None = None
    splits: Splits | None = None
    model: ModelRecord | None = None
    metrics: Metrics | None = None
    out_of_fold: tuple[ReportedCase, ...] = ()
    held_out: Mapping[str, tuple[ReportedCase, ...]] = field(default_factory=dict)
    tables: Mapping[str, Sequence[Line]] = field(default_factory=dict)
    figures: Mapping[str, Picture] = field(default_factory=dict)
    roi_benchmark: RoiBenchmark | None = None
    image_benchmark: ImageBenchmark | None = None
    comparison: Comparison | None = None
    patients: PatientsBenchmark | None = None
    candidate: LockedCandidate | None = None
    provenance: Provenance | None = None
    heatmaps: Mapping[str, Picture] = field(default_factory=dict)
    heatmap_tables: Mapping[str, Sequence[Line]] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)
    logs: Mapping[int, tuple[LoggedStage, ...]] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    outdated: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def path_of(self, name: str) -> str:
        """Where the artefact `name` of ARTEFACTS was read, below the workspace."""
        return self.paths.get(name, ARTEFACTS[name].path)

    def changed(self, made_from: Mapping[str, str]) -> list[str]:
        """Names of those of the files `made_from`, with their SHA-256, that are others now."""
        return [name for name, sha256 in made_from.items() if self.hashes.get(name, sha256) != sha256]

    @property
    def place(self) -> str:
        """What stands before the names of tables and figures, where a reader looks for them."""
        return "results/" if self.of_table is None else ""

    @property
    def splits_are_locked(self) -> bool:
        """Whether the splits are those that the model was locked from; True before there is a model."""
        return self.model is None or self.splits is None or self.splits.sha256() == self.model.splits_sha256

    def find(self, name: str) -> object:
        """The artefact `name` of ARTEFACTS, None where it is missing or empty."""
        kind, _, which = name.partition(":")
        if which:
            held: Mapping[str, object] = self.tables if kind == "table" else self.figures
            return held.get(which) or None
        return getattr(self, name) or None

    @property
    def missing(self) -> tuple[Artefact, ...]:
        """What a complete run has and this one has not; what a study without follow-up lacks is not counted."""
        if self.of_table is not None:
            return ()
        return tuple(
            artefact for name, artefact in ARTEFACTS.items() if name not in _OPTIONAL and self.find(name) is None
        )

    @property
    def shuffled_map_correlations(self) -> tuple[float, ...]:
        """Absolute rank correlation of each case's fused heat map with that of the network with shuffled weights."""
        lines = self.heatmap_tables.get("randomisation", ())
        found = (_number(line.get("spearman", "")) for line in lines if line.get("sequence") == ALL_MAPS)
        return tuple(abs(value) for value in found if value is not None)

    @property
    def unseen_cohorts(self) -> tuple[str, ...]:
        """Cohorts of the metrics whose scores are not apparent: out-of-fold first, then the held-out ones.

        All of them where nothing tells what the scores learned from.
        """
        if self.metrics is None:
            return ()
        if self.of_table is not None:
            return tuple(self.metrics.cohorts)
        settings = self.description.autodls.cohort if self.description else None
        trained = set(settings.training if settings else ("train",))
        others = (name for name in self.metrics.cohorts if name != OUT_OF_FOLD and name not in trained)
        return (*((OUT_OF_FOLD,) if OUT_OF_FOLD in self.metrics.cohorts else ()), *others)


def _number(cell: str) -> float | None:
    """The number in a cell, None for anything else."""
    try:
        return read_number(cell)
    except ValueError:
        return None
