"""Folders that a person names for results: refused before anything is read where results cannot or must not go."""

from collections.abc import Iterable
from pathlib import Path

from autodls.errors import ArgumentError
from autodls.records.workspace import ModelFolder, Workspace


def require_folder(path: Path, option: str) -> None:
    """Raise ArgumentError where `path`, given by `option`, is a file, or lies below one."""
    there = next((place for place in (path, *path.parents) if place.exists()), None)
    if there is not None and not there.is_dir():
        where = f"{path}: is a file" if there == path else f"{path}: {there} is a file, not a folder"
        raise ArgumentError(f"{option} {where}; give a folder")


def require_output(output: Path, read: Iterable[Path] = ()) -> None:
    """Raise ArgumentError where results in `output` (-o) cannot lie, or would mix with what is `read` or locked."""
    require_folder(output, "-o")
    if any(output.resolve() == path.resolve() for path in read):
        raise ArgumentError(f"-o {output}: the images or ROIs are read from there; give a folder for results alone")
    require_no_model(output)
    if Workspace(output).plan.exists() or Workspace(output).model.record.exists():
        raise ArgumentError(f"-o {output}: is the workspace of a study, with records of its own; give another folder")


def require_no_model(folder: Path) -> None:
    """Raise ArgumentError where `folder`, given by -o, is a model folder or lies in one: a model holds nothing else."""
    place = folder.resolve()
    for model in map(ModelFolder, (place, *place.parents)):
        if model.record.exists() and model.plan.exists():
            raise ArgumentError(f"-o {folder}: lies in a locked model, which must stay as it is; give another folder")


def require_kinds(workspace: Workspace) -> None:
    """Raise ArgumentError where a file of ours has the place of a folder in the workspace, or the reverse."""
    for path in workspace.expected_files:
        if path.exists() and not path.is_file():
            raise ArgumentError(f"{path}: is a folder, expected a file; move it away, then run the command again")
    for path in workspace.expected_folders:
        if path.exists() and not path.is_dir():
            raise ArgumentError(f"{path}: is a file, expected a folder; move it away, then run the command again")
