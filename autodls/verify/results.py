"""The last part of a workspace's chain: what commands have noted of the files that they made."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from autodls.errors import ModelFolderError
from autodls.records.files import sha256_of_file
from autodls.records.provenance import HIDDEN, Made, Provenance
from autodls.records.workspace import Workspace
from autodls.verify.chain import Link, changed, examine

_DERIVED = (
    "train",
    "segment",
    "evaluate",
    "compare",
    "explain",
    "benchmark rois",
    "benchmark patients",
    "benchmark images",
    "report",
    "report --docx",
    "report --figures",
)  # a plan may be edited
_AGAIN = {"train": "train fold all", "segment": "segment fold all", "report --figures": "report --figures FORMAT"}
_MAY_BE_GONE = ("report -o", "report -o --figures", "benchmark sequences")  # taken elsewhere, or removed by evaluate
_RUN_AGAIN = "run 'autodls evaluate', 'explain' and 'report' again"
_EVALUATED = ("dataset.json", "clinical.csv", "clinical.xlsx")
_NOT_REPEATED = Link(
    "preprocessing, training and statistics are not repeated: what they gave is compared by hashes", checked=False
)


def verify_results(workspace: Workspace, dataset: Mapping[str, Path] | None) -> list[Link]:
    """The links of provenance.json.

    `dataset` has the description and the table by name, as they lie there now; None where no dataset is at hand.
    """
    path, results = workspace.provenance, workspace.report.parent
    if not path.exists() and not results.exists():
        return [_NOT_REPEATED]
    links = [examine("what every command made", lambda: _noted_faults(path, dataset or {}))]
    if not path.exists() or links[0].faults:
        return [*links, _NOT_REPEATED]
    noted = Provenance.load(path, _RUN_AGAIN, ModelFolderError)
    links.append(examine("every result was made by a command", lambda: _unnoted_faults(workspace, noted)))
    return [*links, *_unchecked(workspace, noted, dataset is not None), _NOT_REPEATED]


def _noted_faults(path: Path, dataset: Mapping[str, Path]) -> Iterator[str]:
    """The files of every command are as it left them, and made from what lies there now."""
    if not path.exists():
        yield f"{path}: missing, so metrics, tables, figures, heat maps and report cannot be checked; {_RUN_AGAIN}"
        return
    noted = Provenance.load(path, _RUN_AGAIN, ModelFolderError)
    if noted.is_altered:
        yield f"{path}: altered since it was sealed; {_RUN_AGAIN}"
    for name, made in noted.commands.items():
        repair = f"run 'autodls {_AGAIN.get(name, name)}'"
        if name in _DERIVED:
            yield from changed(path.parent, made.files, repair)
            yield from (f"{name}: {fault}; {repair}" for fault in _other_sources(path.parent, made, dataset))
        elif name in _MAY_BE_GONE:
            there = {file: sha256 for file, sha256 in made.files.items() if (path.parent / file).is_file()}
            yield from changed(path.parent, there, repair)


def _other_sources(root: Path, made: Made, dataset: Mapping[str, Path]) -> Iterator[str]:
    for source, expected in made.made_from.items():
        place = dataset.get(source, root / source)
        if dataset and source in _EVALUATED and source not in dataset:
            yield f"made from {source}, which is no longer there"
        elif place.is_file() and (found := sha256_of_file(place)) != expected:
            yield f"made from {source} {expected[:12]}, which is now {found[:12]}"


def _unnoted_faults(workspace: Workspace, noted: Provenance) -> Iterator[str]:
    for path in _unnoted(workspace, noted):
        if _is_result(workspace, path):
            yield f"{path}: no command has noted in {workspace.provenance.name} that it made this; {_RUN_AGAIN}"


def _unnoted(workspace: Workspace, noted: Provenance) -> list[Path]:
    known = {workspace.home / name for made in noted.commands.values() for name in made.files if name != HIDDEN}
    return [path for path in sorted(workspace.report.parent.rglob("*")) if path.is_file() and path not in known]


def _is_result(workspace: Workspace, path: Path) -> bool:
    """Whether a reader takes it for one of ours, by its place."""
    ours = (workspace.tables, workspace.figures, workspace.report_figures, workspace.heatmaps.root)
    records = (workspace.metrics, workspace.comparison, workspace.learning_curve, workspace.image_benchmark)
    return path in (*records, workspace.report, workspace.paper) or (
        path.parent in (*ours, workspace.heldout_record("x").parent)
        and not path.name.startswith(".")
        and not path.name.endswith(".jsonl")
    )


def _unchecked(workspace: Workspace, noted: Provenance, with_dataset: bool) -> Iterator[Link]:
    """What no hash is kept of, or nothing to compare it with is at hand."""
    if noted.record_sha256 is None:
        yield Link(f"{workspace.provenance.name}: of a version that did not seal it", checked=False)
    evaluated = noted.commands.get("evaluate")
    if not with_dataset:
        yield Link("images, ROIs and table of the dataset: give it with -d", checked=False)
    elif evaluated is not None and "dataset.json" not in evaluated.made_from:
        yield Link("dataset.json of the evaluation: of a version that kept no hash of it", checked=False)
    others = [path for path in _unnoted(workspace, noted) if not _is_result(workspace, path)]
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        yield Link(f"{others[0].relative_to(workspace.home)}{more}: no hash of it is kept", checked=False)
