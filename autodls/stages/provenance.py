"""What is written down of every command that makes files: itself, its versions, its seed, and hashes."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from autodls.records.model_folders import PROVENANCE
from autodls.records.provenance import record_run
from autodls.records.workspace import Workspace


def note_run(
    command: Sequence[str],
    workspace: Workspace,
    name: str,
    seed: int | None,
    made_from: Iterable[Path],
    files: Iterable[Path],
    precision: str | None = None,
) -> None:
    """Write into the workspace that the stage `name`, asked for by `command`, made `files` from `made_from`.

    `precision` is that of networks, and where they were computed.
    """
    record_run(workspace.provenance, name, command, seed, made_from, files, precision)


def note_output(
    command: Sequence[str],
    folder: Path,
    name: str,
    seed: int | None,
    made_from: Iterable[Path],
    files: Iterable[Path],
    precision: str | None = None,
) -> None:
    """The same for an output folder that is no workspace."""
    record_run(folder / PROVENANCE, name, command, seed, made_from, files, precision)


def files_below(*folders: Path) -> list[Path]:
    """Every file in `folders`, in a fixed order."""
    return sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())
