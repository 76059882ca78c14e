"""What is written down of every command that makes files: itself, its versions, its seed, and hashes."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from autodls import __version__
from autodls.records.files import sha256_of_file
from autodls.records.model_folders import PROVENANCE
from autodls.records.provenance import Made, Provenance, hashes_of, record_run
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


def is_noted(workspace: Workspace, name: str, made_from: Iterable[Path], needed: Path) -> bool:
    """Whether the stage `name` has made the file `needed`, by this version, and nothing has changed since.

    Neither what it was `made_from` nor any file that it made; a stage that is not sure is done again.
    """
    made = Provenance.beside(workspace.provenance).commands.get(name)
    if made is None or made.versions.get("autodls") != __version__:
        return False
    root = workspace.home
    made_now = hashes_of(root, [root / file for file in made.files])
    same = made.made_from == hashes_of(root, made_from) and made.files == made_now
    return same and needed.relative_to(root).as_posix() in made.files


def precision_of_all(workspace: Workspace, name: str, model: Path, now: str | None) -> str | None:
    """In what all scores of the stage `name` were computed: `now`, and before, where some of `model` may be kept.

    `now` is None where no network was computed, as every score was kept.
    """
    before = Provenance.beside(workspace.provenance).commands.get(name)
    same = before is not None and before.versions.get("autodls") == __version__ and _made_from(before, model)
    earlier = before.conditions.precision if same and before is not None and before.conditions else None
    return "; ".join(dict.fromkeys(word for word in (earlier, now) if word)) or None


def _made_from(made: Made, model: Path) -> bool:
    return model.is_file() and sha256_of_file(model) in made.made_from.values()


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
