"""Places that a person names for results: refused before anything is read where results cannot or must not go."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from autodls.errors import ArgumentError
from autodls.records.listing import IMAGES, LABELS
from autodls.records.locked_candidate import CANDIDATE
from autodls.records.model_folders import ModelFolder
from autodls.records.workspace import Workspace

_OF_TRAINING = re.compile(
    r"\.tmp-.+|.+\.safetensors|scores\.csv|log\.jsonl|learning_curve\.png|MODEL_CARD\.md"
    r"|(fold|model|plan|fingerprint|segmenter|provenance|signature)\.json"
)


def real_place(path: Path) -> Path:
    """`path` without links; one whose links lead in a circle stays, and whoever opens it says so."""
    return Path(os.path.realpath(path))  # Path.resolve() raises RuntimeError there, until Python 3.13


def require_folder(path: Path, option: str) -> None:
    """Raise ArgumentError where `path`, given by `option`, is a file, or lies below one."""
    there = next((place for place in (path, *path.parents) if place.exists()), None)
    if there is not None and not there.is_dir():
        where = f"{path}: is a file" if there == path else f"{path}: {there} is a file, not a folder"
        raise ArgumentError(f"{option} {where}; give a folder")


def require_output(output: Path, read: Iterable[Path] = (), option: str = "-o") -> None:
    """Raise ArgumentError where results in `output` cannot lie, or would mix with what is `read` or locked."""
    require_folder(output, option)
    place = real_place(output)
    for path in map(real_place, read):
        if place == path or path in place.parents:
            raise ArgumentError(
                f"{option} {output}: the images or ROIs are read from there; give a folder for results alone"
            )
        if place in path.parents:
            raise ArgumentError(
                f"{option} {output}: {path.name}, which is read, lies in it; give a folder for results alone"
            )
    require_no_input(output, option)
    for workspace in map(Workspace, (place, *place.parents)):
        if _is_workspace(workspace, alone=workspace.root == place):
            where = "is" if workspace.root == place else "lies in"
            raise ArgumentError(
                f"{option} {output}: {where} the workspace of a study, with records of its own; give another folder"
            )


def require_no_input(folder: Path, option: str = "-o") -> None:
    """Raise ArgumentError where `folder`, given by `option`, is a model or the images or ROIs of a dataset, or in one.

    A model holds nothing else, and what lies among images and ROIs is taken for one.
    """
    place = real_place(folder)
    for above in (place, *place.parents):
        model = ModelFolder(above).record.exists() and ModelFolder(above).plan.exists()
        if model or (above / CANDIDATE).is_file():
            raise ArgumentError(
                f"{option} {folder}: lies in a locked model, which must stay as it is; give another folder"
            )
        if above.name in (IMAGES, LABELS) and (above.parent / "dataset.json").exists():
            raise ArgumentError(
                f"{option} {folder}: lies among the images or ROIs of a dataset, which are only read; give another "
                "folder"
            )


def require_own(root: Path) -> None:
    """Raise ArgumentError where workspace `root` (-w) is a folder with files of somebody else, and no workspace yet."""
    require_no_input(root, "-w")
    workspace = Workspace(root)
    ours = (workspace.lock, workspace.plan, workspace.fingerprint, workspace.splits)
    if not root.is_dir() or any(path.is_file() for path in ours):
        return
    if others := sorted(path.name for path in root.iterdir()):
        raise ArgumentError(
            f"-w {root}: holds {others[0]}, and is no workspace: results would mix with what is there; give a new or "
            "an empty folder"
        )


def require_trained(folders: Iterable[Path]) -> None:
    """Raise ArgumentError where `folders`, which --restart throws away, hold a file that no training writes."""
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.is_symlink() or path.is_file()):
            if path.is_symlink() or not _OF_TRAINING.fullmatch(path.name):
                raise ArgumentError(
                    f"{path}: AutoDLS did not write it, and --restart would throw it away with its folder; move it away"
                )


def _is_workspace(workspace: Workspace, *, alone: bool) -> bool:
    """Whether a study lies there; far above, plan.json `alone` or a model may be what lies beside the results."""
    if alone and (workspace.plan.exists() or workspace.model.record.exists()):
        return True
    return workspace.plan.exists() and (workspace.splits.exists() or workspace.fingerprint.exists())


def require_kinds(workspace: Workspace) -> None:
    """Raise ArgumentError where a file of ours has the place of a folder in the workspace, or the reverse."""
    for path in workspace.expected_files:
        if path.exists() and not path.is_file():
            raise ArgumentError(f"{path}: is a folder, expected a file; move it away, then run the command again")
    for path in workspace.expected_folders:
        if path.exists() and not path.is_dir():
            raise ArgumentError(f"{path}: is a file, expected a folder; move it away, then run the command again")
