"""Reading what a run has left behind: what cannot be read is named, and counts as missing."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from autodls.analysis.comparison_results import Comparison
from autodls.analysis.images_records import ImageBenchmark
from autodls.analysis.patients_results import PatientsBenchmark
from autodls.analysis.rois_records import RoiBenchmark
from autodls.errors import AutoDLSError
from autodls.evaluation.metrics_record import Metrics
from autodls.records.base import Record
from autodls.records.cells import is_missing, read_number
from autodls.records.dataset import DatasetDescription
from autodls.records.files import sha256_of_file
from autodls.records.fingerprint import Fingerprint
from autodls.records.locked_candidate import CANDIDATE, LockedCandidate
from autodls.records.model import ModelRecord
from autodls.records.plan import Plan
from autodls.records.provenance import Provenance
from autodls.records.scores import FUSED, without_formula
from autodls.records.splits import Splits
from autodls.records.table import read_table
from autodls.records.training_log import LoggedStage, log_lines, logged_stages
from autodls.records.workspace import EXPERIMENTS, Workspace, safe_name
from autodls.report.artefacts import ARTEFACTS, Artefacts, Line, Picture, ReportedCase

R = TypeVar("R", bound=Record)
_OF_TABLES = ("evaluate", "compare", "benchmark patients")  # made from the table of the dataset, and shown


def read_study(
    workspace: Workspace, description: DatasetDescription | None = None, tables: Sequence[Path] = ()
) -> Artefacts:
    """Read what lies in `workspace`; a file that cannot be read is named in `faults` and counts as missing.

    `tables` are the files of the dataset that results were made from besides images, to see whether they still are.
    """
    reading = _Reading(workspace)
    provenance = reading.record(workspace.provenance, Provenance)
    scores = reading.scores(workspace.oof_scores)
    metrics = reading.record(workspace.metrics, Metrics)
    cohorts = {safe_name(name): name for name in metrics.cohorts} if metrics else {}
    held_out = {
        cohorts.get(path.stem, path.stem): reading.scores(path, cohorts.get(path.stem, path.stem))
        for path in _sorted(workspace.home, "results/scores/*.csv")
    }
    locked = workspace.model
    plan, fingerprint = reading.record(locked.plan, Plan), reading.record(locked.fingerprint, Fingerprint)
    plan_now, fingerprint_now = reading.record(workspace.plan, Plan), reading.record(workspace.fingerprint, Fingerprint)
    plan, plan_now = (one and one.without_paths() for one in (plan, plan_now))  # a report travels
    of_model = {"plan": (plan, locked.plan), "fingerprint": (fingerprint, locked.fingerprint)}
    return Artefacts(
        description=description,
        fingerprint=fingerprint or fingerprint_now,
        plan=plan or plan_now,
        plan_now=plan_now,
        fingerprint_now=fingerprint_now,
        splits=reading.record(workspace.splits, Splits),
        model=reading.record(workspace.model.record, ModelRecord),
        metrics=metrics,
        out_of_fold=tuple(scores),
        held_out={name: tuple(cases) for name, cases in held_out.items() if cases},
        tables=reading.tables("results/tables"),
        figures=_pictures(workspace.home, "results/figures") | _pictures(workspace.root, "results/figures", "rois_"),
        roi_benchmark=reading.record(workspace.roi_benchmark, RoiBenchmark),
        image_benchmark=reading.record(workspace.image_benchmark, ImageBenchmark),
        comparison=reading.record(workspace.comparison, Comparison),
        patients=reading.record(workspace.learning_curve, PatientsBenchmark),
        candidate=reading.record(workspace.candidate / CANDIDATE, LockedCandidate),
        provenance=provenance,
        heatmaps=_pictures(workspace.home, "results/heatmaps"),
        heatmap_tables=reading.tables("results/heatmaps"),
        hashes=_hashes(workspace),
        logs=_logs(workspace),
        paths={
            name: path.relative_to(workspace.home).as_posix() for name, (record, path) in of_model.items() if record
        },
        faults=tuple(reading.faults),
        outdated=_outdated(workspace, provenance, tables),
    )


def _outdated(
    workspace: Workspace, provenance: Provenance | None, tables: Sequence[Path]
) -> dict[str, tuple[str, ...]]:
    """The `tables` that are others now, by the command whose results a report shows."""
    changed = provenance.changed_for(workspace.home, tables) if provenance else {}
    return {name: files for name, files in changed.items() if name in _OF_TABLES}


def read_results(folder: Path, table: Path) -> Artefacts:
    """Read the results in `folder` of the scores in `table`, which have no workspace."""
    reading, metrics = _Reading(Workspace(folder)), folder / "metrics.json"
    return Artefacts(
        of_table=table.name,
        metrics=reading.record(metrics, Metrics),
        tables=reading.tables("tables"),
        figures=_pictures(folder, "figures"),
        hashes={path.name: sha256_of_file(path) for path in (table, metrics)},
        faults=tuple(reading.faults),
    )


def drawn_as_png(workspace: Workspace) -> dict[str, bytes]:
    """The figures as PNG, by name, as far as they are such files."""
    found = [*_sorted(workspace.root, "results/figures/rois_*.png"), *_sorted(workspace.home, "results/figures/*.png")]
    contents = {path.stem: path.read_bytes() for path in found}
    return {name: content for name, content in contents.items() if _has_size(content)}


def _has_size(content: bytes) -> bool:
    """Whether this is the beginning of a PNG of at least one pixel."""
    sizes = (int.from_bytes(content[at : at + 4]) for at in (16, 20))
    return content.startswith(b"\x89PNG\r\n\x1a\n") and content[12:16] == b"IHDR" and all(sizes)


def raw(cell: str) -> str:
    """A cell as it was before it was disarmed for spreadsheets.

    >>> raw("'=1+1"), raw("'quoted'")
    ('=1+1', "'quoted'")
    """
    return cell[1:] if cell.startswith("'") and without_formula(cell[1:]) == cell else cell


class _Reading:
    """Reads files of a workspace and collects what went wrong, without the path of the machine."""

    def __init__(self, workspace: Workspace) -> None:
        self.root, self.home = workspace.root, workspace.home
        self.faults: list[str] = []

    def record(self, path: Path, kind: type[R]) -> R | None:
        if not path.is_file():
            return None
        try:
            return kind.load(path, "make it again, or repair it")
        except AutoDLSError as failure:
            self._note(failure)
            return None

    def table(self, path: Path) -> list[Line]:
        if not path.is_file():
            return []
        try:
            rows = read_table(path)
        except AutoDLSError as failure:
            self._note(failure)
            return []
        return [{raw(name): raw(cell) for name, cell in row.items()} for row in rows]

    def tables(self, folder: str) -> dict[str, Sequence[Line]]:
        found = {path.stem: self.table(path) for path in _sorted(self.home, f"{folder}/*.csv")}
        return {name: lines for name, lines in found.items() if lines}

    def scores(self, path: Path, group: str = "") -> list[ReportedCase]:
        cases = []
        before = len(self.faults)
        rows = self.table(path)
        if not rows or not {"case", FUSED} <= set(rows[0]):
            if path.is_file() and len(self.faults) == before:
                where = path.relative_to(self.root)
                self.faults.append(f"{where}: no case under columns 'case' and '{FUSED}'; make it again")
            return []
        for number, row in enumerate(rows, start=2):
            try:
                cases.append(_scored(row, group))
            except ValueError as failure:
                self.faults.append(f"{path.relative_to(self.root)}: row {number}: {failure}")
        return cases

    def _note(self, failure: AutoDLSError) -> None:
        self.faults.append(str(failure).replace(f"{self.root}/", ""))


def _scored(row: Line, group: str) -> ReportedCase:
    label = row.get("label", "")
    return ReportedCase(
        case=row["case"],
        group=row.get("fold", group),
        label=None if is_missing(label) else label in {"1", "1.0", "true"},
        score=read_number(row[FUSED]),
        cells=row,
    )


def _sorted(root: Path, pattern: str) -> list[Path]:
    return sorted(path for path in root.glob(pattern) if not path.name.startswith("."))


def _pictures(root: Path, folder: str, start: str = "") -> dict[str, Picture]:
    """Those whose name has this `start`, by name; an SVG where there is one, else a PNG."""
    media = {"png": "image/png", "svg": "image/svg+xml"}
    return {
        path.stem: Picture(path.read_bytes(), media[ending])
        for ending in media
        for path in _sorted(root, f"{folder}/{start}*.{ending}")
    }


def _logs(workspace: Workspace) -> dict[int, tuple[LoggedStage, ...]]:
    """What the log of each fold says of its networks, as far as they have epochs."""
    folders = workspace.fold(0).root.parent.glob("*")
    indices = sorted(int(folder.name) for folder in folders if folder.name.isdecimal())
    stages = {index: logged_stages(log_lines(workspace.fold(index).log)) for index in indices}
    return {index: tuple(stage for stage in found if stage.epochs) for index, found in stages.items()}


def _hashes(workspace: Workspace) -> dict[str, str]:
    """SHA-256 of the records as they lie there now, by their path below the workspace."""
    shared = ("fingerprint", "plan", "splits")
    names = (*shared, "out_of_fold", "model", "metrics")
    files = {name: ARTEFACTS[name].path for name in names}
    paths = {path: (workspace.root if name in shared else workspace.home) / path for name, path in files.items()}
    beside = (one for one in workspace.base.experiments if one != workspace)
    paths |= {f"{EXPERIMENTS}/{one.root.name}/{one.oof_scores.name}": one.oof_scores for one in beside}
    return {name: sha256_of_file(path) for name, path in paths.items() if path.is_file()}
