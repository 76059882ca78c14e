"""`verify`: does everything in a model folder, a workspace or an export still fit what it was derived from?"""

from dataclasses import dataclass, replace
from pathlib import Path

from autodls.errors import ArgumentError, InputError
from autodls.records.export import MODELS
from autodls.records.model_folders import ModelFolder, RoiKind
from autodls.records.workspace import Workspace
from autodls.stages.predict_candidate import is_candidate
from autodls.stages.session import Session
from autodls.verify.candidate import verify_candidate
from autodls.verify.chain import Link, verify_model
from autodls.verify.export import is_export, verify_export
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
    """Check the whole chain of hashes of a model folder, a workspace or an export; nothing is written.

    A workspace is checked against the images as well where the `dataset` is given, read by `workers` processes. What no
    longer fits is a finding, not an error. A model, or locked candidate, has to be signed with the public `key`, a PEM
    file, where one is given. Raises ArgumentError where `place` is none of these, or a `dataset` is given with what is
    no workspace, or a `key` with what is not signed, or where the key is none.
    """
    verified = Verified(tuple(_links(place, dataset, key, workers)))
    for fault in verified.faults:
        watch.note(f"does not fit: {fault}")
    return verified


def _links(place: Path, dataset: Path | None, key: Path | None, workers: int) -> list[Link]:
    if is_candidate(place):
        _refuse_dataset(dataset, "a locked candidate")
        return [*verify_candidate(place), signature_link(place, key)]
    if ModelFolder(place).record.is_file():
        _refuse_dataset(dataset, "a model folder")
        return [*verify_model(ModelFolder(place)), signature_link(place, key)]
    if is_export(place):
        _refuse_dataset(dataset, "an export")
        _refuse_key(key, "exports", f"the model that was exported, or {place / MODELS} of a MONAI bundle")
        return verify_export(place)
    if Workspace(place).plan.is_file():
        _refuse_key(key, "workspaces", str(Workspace(place).model.root))
        return _workspace_links(Workspace(place), dataset, workers)
    raise ArgumentError(
        f"{place}: no model.json, plan.json or export.json there; give a model folder, a workspace or an export"
    )


def _refuse_dataset(dataset: Path | None, what: str) -> None:
    if dataset is not None:
        raise ArgumentError(f"-d {dataset}: {what} is checked by itself; give the workspace to check with -d")


def _refuse_key(key: Path | None, what: str, instead: str) -> None:
    if key is not None:
        raise ArgumentError(f"--key {key}: models are signed, not {what}; give {instead}")


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
