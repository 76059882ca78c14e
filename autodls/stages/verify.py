"""`verify`: does everything in a model folder or a workspace still fit what it was derived from?"""

import json
from dataclasses import asdict, replace
from pathlib import Path

from autodls.cli.console import note, say, say_json
from autodls.errors import ArgumentError, InputError
from autodls.records.workspace import ModelFolder, RoiKind, Workspace
from autodls.stages.session import Session
from autodls.verify.chain import Link, verify_model
from autodls.verify.workspace import Source, verify_kind, verify_plans

_EXIT_BROKEN = 2
_KINDS: tuple[RoiKind, ...] = ("manual", "auto")


def run_verify(place: Path, dataset: Path | None, workers: int, *, as_json: bool) -> int:
    """Check the whole chain of hashes; the exit status, 2 where something no longer fits."""
    if ModelFolder(place).record.is_file():
        if dataset is not None:
            raise ArgumentError(
                f"-d {dataset}: a model folder is checked by itself; give the workspace to check with -d"
            )
        links = verify_model(ModelFolder(place))
    elif Workspace(place).plan.is_file():
        links = _workspace_links(Workspace(place), dataset, workers)
    else:
        raise ArgumentError(f"{place}: no model.json and no plan.json there; give a model folder or a workspace")
    faults = [fault for link in links for fault in link.faults]
    if as_json:
        say_json(json.dumps({"fits": not faults, "links": [asdict(link) for link in links]}, indent=1))
    else:
        for link in links:
            say(f"{_verdict(link):<13} {link.name}")
    for fault in faults:
        note(f"does not fit: {fault}")
    return _EXIT_BROKEN if faults else 0


def _verdict(link: Link) -> str:
    if not link.checked:
        return "not checked"
    return "does not fit" if link.faults else "fits"


def _workspace_links(workspace: Workspace, dataset: Path | None, workers: int) -> list[Link]:
    kinds = [kind for kind in _KINDS if kind == "manual" or workspace.of(kind).home.is_dir()]
    try:
        sources = {kind: _source(workspace, dataset, kind) for kind in kinds}
        links = verify_plans(workspace, sources["manual"], workers)
        for kind in kinds:
            prefix = f"{kind} ROIs: " if len(kinds) > 1 else ""
            found = verify_kind(workspace.of(kind), sources[kind])
            links += [replace(link, name=f"{prefix}{link.name}") for link in found]
    except InputError as failure:
        return [Link("records of the workspace", (str(failure),))]
    return links


def _source(workspace: Workspace, dataset: Path | None, kind: RoiKind) -> Source | None:
    if dataset is None:
        return None
    session = Session.open(dataset, workspace.root, kind)
    labels = session.cohort.description.roi_labels
    return Source(session.training, session.drawn, session.cohort.held_out, session.roi_labels, labels, dataset)
