"""Named experiments: several plans of one study side by side, each in a folder of its own below the workspace.

An experiment is a workspace: plan, folds, model and results are its own, and so is its provenance. It has the splits of
the workspace that it lies in, so that scores can be compared case by case; samples and encoders that it has in common
with another have a second name there, and are not made again.
"""

from pathlib import Path

from autodls.errors import ArgumentError, PlanError
from autodls.records.case_id import case_id_fault, look_alikes
from autodls.records.files import link_or_copy
from autodls.records.fingerprint import Fingerprint
from autodls.records.lock import locked
from autodls.records.splits import Splits
from autodls.records.workspace import Workspace


def experiment_place(root: Path, name: str, *, new: bool = False) -> Path:
    """The folder of experiment `name` in the workspace `root`.

    Raises ArgumentError for a name that is no file name, or looks like another, and, but for a `new` one, where there
    is no such experiment.
    """
    workspace = Workspace(root)
    if fault := case_id_fault(name):
        raise ArgumentError(f"--name '{name}': {fault}; give letters, digits, '_', '-' and '.'")
    if workspace.base != workspace:
        raise ArgumentError(f"--name {name}: {root} is an experiment itself; give the workspace that it lies in")
    there = [known.root.name for known in workspace.experiments]
    if alike := next((pair for pair in look_alikes([*there, name], numbers=False) if name in pair), None):
        other = next(one for one in alike if one != name)
        raise ArgumentError(f"--name {name}: looks like '{other}', which is there; give another name, or that one")
    if not new and name not in there:
        known = f"there are {', '.join(there)}" if there else "there is none yet"
        raise ArgumentError(f"--name {name}: no such experiment in {root} ({known}); run 'autodls plan --name {name}'")
    return workspace.experiment(name).root


def experiment_of(dataset: Path, workspace: Path | None, name: str | None, *, new: bool = False) -> Path | None:
    """The workspace to work in: that of experiment `name`, or `workspace` where none is named; see there."""
    if name is None:
        return workspace
    return experiment_place(workspace if workspace is not None else dataset / "autodls", name, new=new)


def take_shared_splits(place: Workspace, *, anew: bool) -> None:
    """Give an experiment that is new, or begins `anew`, the splits of the workspace around it; `place` is locked."""
    if place.base != place and (anew or not place.splits.exists()):
        link_or_copy(place.base.splits, place.splits)


def require_shared_splits(place: Workspace, splits: Splits) -> None:
    """Raise PlanError where the experiment `place` would have other splits than the workspace that it lies in."""
    if place.base == place:
        return
    shared = Splits.load(place.base.splits, "run 'autodls plan'")
    if not shared.inputs_sha256:  # of a version that did not know of which images they are
        splits = splits.model_copy(update={"inputs_sha256": ""})
    if shared != splits:
        raise PlanError(
            f"{place.base.splits}: not the splits that this experiment would have, so scores could not be compared "
            "case by case (other images, folds, training.seed or training.inner_holdout); plan the workspace anew "
            "first, or give another workspace with -w"
        )


def begin_experiments(root: Path, fingerprint: Fingerprint, splits: Splits) -> None:
    """Write into a workspace that has none yet what all its experiments share: fingerprint and splits."""
    base = Workspace(root.parent.parent)
    if not Workspace.may_be_experiment(root) or base.splits.exists():
        return
    with locked(base):
        fingerprint.save(base.fingerprint)
        splits.save(base.splits)
