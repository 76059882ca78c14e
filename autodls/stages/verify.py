"""`verify`: does everything in a model folder or a workspace still fit what it was derived from?"""

from dataclasses import dataclass, replace
from pathlib import Path

from autodls.errors import ArgumentError, InputError
from autodls.records.model_folders import ModelFolder, RoiKind
from autodls.records.workspace import Workspace
from autodls.stages.predict_candidate import is_candidate
from autodls.stages.session import Session
from autodls.verify.candidate import verify_candidate
from autodls.verify.chain import Link, verify_model
from autodls.verify.signature import signature_link
from autodls.verify.workspace import Source, verify_kind, verify_plans
from autodls.watch import SILENT, Watch

_KINDS: tuple[RoiKind, ...] = ("manual", "auto")


@dataclass(frozen=True)
class Verified:
    """Every link of the chain, in its order, with its faults, or not checked."""

    links: tuple[Link, ...]

    @property
    def faults(self) -> tuple[str, ...]:
        """What no longer fits, a sentence each."""
        return tuple(fault for link in self.links for fault in link.faults)

    @property
    def unchecked(self) -> tuple[str, ...]:
        """What no hash is kept of, or cannot be checked without the dataset."""
        return tuple(link.name for link in self.links if not link.checked)

    @property
    def fits(self) -> bool:
        """Whether all that can be checked fits what it was derived from."""
        return not self.faults


def verify(
    place: Path, dataset: Path | None = None, *, key: Path | None = None, workers: int = 1, watch: Watch = SILENT
) -> Verified:
    """Check the whole chain of hashes of a model folder or a workspace; nothing is written.

    A workspace is checked against the images as well where the `dataset` is given, read by `workers` processes. What no
    longer fits is a finding, not an error. A model, or locked candidate, has to be signed with the public `key`, a PEM
    file, where one is given. Raises ArgumentError where `place` is neither, or a model and a dataset are given, or a
    workspace and a key, or where the key is none.
    """
    if is_candidate(place):
        if dataset is not None:
            raise ArgumentError(f"-d {dataset}: a locked candidate is checked by itself; give the workspace with -d")
        links = [*verify_candidate(place), signature_link(place, key)]
    elif ModelFolder(place).record.is_file():
        if dataset is not None:
            raise ArgumentError(
                f"-d {dataset}: a model folder is checked by itself; give the workspace to check with -d"
            )
        links = [*verify_model(ModelFolder(place)), signature_link(place, key)]
    elif Workspace(place).plan.is_file() and key is not None:
        raise ArgumentError(f"--key {key}: models are signed, not workspaces; give {Workspace(place).model.root}")
    elif Workspace(place).plan.is_file():
        links = _workspace_links(Workspace(place), dataset, workers)
    else:
        raise ArgumentError(f"{place}: no model.json and no plan.json there; give a model folder or a workspace")
    verified = Verified(tuple(links))
    for fault in verified.faults:
        watch.note(f"does not fit: {fault}")
    return verified


def _workspace_links(workspace: Workspace, dataset: Path | None, workers: int) -> list[Link]:
    kinds = [kind for kind in _KINDS if kind == "manual" or workspace.of(kind).home.is_dir()]
    try:
        sources = {kind: _source(workspace, dataset, kind) for kind in kinds}
        links = verify_plans(workspace, sources["manual"], workers)
        for kind in kinds:
            prefix = f"{kind} ROIs: " if len(kinds) > 1 else ""
            found = verify_kind(workspace.of(kind), sources[kind])
            links += [replace(link, name=f"{prefix}{link.name}") for link in found]
            if is_candidate(locked := workspace.of(kind).candidate):
                of_candidate = [*verify_candidate(locked), signature_link(locked, None)]
                links += [replace(link, name=f"{prefix}candidate: {link.name}") for link in of_candidate]
    except InputError as failure:
        return [Link("records of the workspace", (str(failure),))]
    return links


def _source(workspace: Workspace, dataset: Path | None, kind: RoiKind) -> Source | None:
    if dataset is None:
        return None
    session = Session.open(dataset, workspace.root, kind)
    labels = session.cohort.description.roi_labels
    return Source(session.training, session.drawn, session.cohort.held_out, session.roi_labels, labels, dataset)
