"""The folder of an export: its record as provenance.json has it, all files of the record, the model of a bundle."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from autodls.errors import ModelFolderError
from autodls.inference.model_files import is_inside
from autodls.records.base import some_of
from autodls.records.export import EXPORT, MODELS, ExportRecord
from autodls.records.model_folders import PROVENANCE, ModelFolder
from autodls.records.provenance import Provenance
from autodls.verify.chain import Link, changed, examine, verify_model
from autodls.verify.signature import NO_SIGNATURE, signature_link

_AGAIN = "run 'autodls export' again, or copy the folder anew from where it was written"


def is_export(folder: Path) -> bool:
    """Whether `autodls export` wrote `folder`, also where its record is no longer there."""
    return (folder / EXPORT).is_file() or "export" in Provenance.beside(folder / PROVENANCE).commands


def verify_export(folder: Path) -> list[Link]:
    """The links of the folder of an export; its scores are not computed again."""
    sealed = examine(f"{PROVENANCE} -> {EXPORT}", lambda: _altered(folder))
    try:
        record = ExportRecord.load(folder / EXPORT, _AGAIN, ModelFolderError)
    except ModelFolderError as failure:
        return [sealed if sealed.faults else Link(sealed.name, (str(failure),))]
    shown = record.shown
    return [
        sealed,
        examine(f"{EXPORT} -> files", lambda: _file_faults(folder, record)),
        *(_model(folder, record) if record.to == "monai" else [NO_SIGNATURE]),
        Link(
            f"scores: shown equal to those of AutoDLS by {shown.runtime} when it was exported ({shown.rows} scores, "
            f"log-odds within {shown.log_odds:.1g}), not repeated",
            checked=False,
        ),
        *_others(folder, record),
    ]


def _altered(folder: Path) -> Iterator[str]:
    path = folder / PROVENANCE
    if not path.is_file():
        yield f"{path}: missing, so {EXPORT} cannot be checked; {_AGAIN}"
        return
    noted = Provenance.load(path, _AGAIN, ModelFolderError)
    if noted.record_sha256 is None or noted.is_altered:
        yield f"{path}: altered since it was sealed; {_AGAIN}"
    made = noted.commands.get("export")
    if made is None or EXPORT not in made.files:
        yield f"{path}: does not name {EXPORT} as made by 'autodls export'; {_AGAIN}"
        return
    yield from changed(folder, {EXPORT: made.files[EXPORT]}, _AGAIN)


def _file_faults(folder: Path, record: ExportRecord) -> Iterator[str]:
    inside = {name: sha256 for name, sha256 in record.files.items() if is_inside(name)}
    for name in sorted(record.files.keys() - inside.keys()):
        yield f"{folder / EXPORT}: lists '{name}', which lies outside; {_AGAIN}"
    yield from changed(folder, inside, _AGAIN)
    for name in inside:
        path = folder / name
        if any(one.is_symlink() for one in (path, *path.parents[: name.count("/")])):
            yield f"{path}: a link, no plain file; {_AGAIN}"
    for graph in record.graphs:
        if graph.file not in inside:
            yield f"{folder / EXPORT}: has no hash of '{graph.file}', which it says a runtime loads; {_AGAIN}"


def _model(folder: Path, record: ExportRecord) -> list[Link]:
    """The model folder of a bundle, which is the very model that was exported."""
    model = ModelFolder(folder / MODELS)
    name = model.record.relative_to(folder).as_posix()
    own = examine(f"{EXPORT} -> {name}", lambda: changed(folder, {name: record.model_sha256}, _AGAIN))
    links = [] if own.faults else [*verify_model(model), signature_link(model.root, None)]
    return [own, *(replace(link, name=f"{MODELS}/: {link.name}") for link in links)]


def _others(folder: Path, record: ExportRecord) -> Iterator[Link]:
    """What else lies there, such as the results of a bundle that was run: of a folder that is not ours its name alone.

    In the model of a bundle that is a fault, which its own links name.
    """
    known = {EXPORT, PROVENANCE, *record.files}
    ours = {name.partition("/")[0] for name in known if "/" in name}
    found = set[str]()
    for at, folders, files in os.walk(folder):
        here = Path(at)
        for path in (here / name for name in [*folders, *files]):
            named = path.relative_to(folder).as_posix()
            if named not in known and (path.is_symlink() or not path.is_dir()):
                top, below, _ = named.partition("/")
                found.add(f"{top}/" if below and top not in ours else named)
        if here == folder and record.to == "monai":
            folders[:] = [name for name in folders if name != MODELS]
    if found:
        yield Link(f"{some_of(sorted(found))}: no part of the export, so no hash of it is kept", checked=False)
