"""`track`: learning curves of a workspace for TensorBoard and MLflow, after the fact or while it trains."""

import time
from dataclasses import dataclass
from pathlib import Path

from autodls.errors import ArgumentError
from autodls.records.lock import locked_output
from autodls.records.model_folders import RoiKind
from autodls.records.plan import Plan
from autodls.records.workspace import Workspace
from autodls.stages.places import require_folder, require_output
from autodls.stages.session import planned, planned_workspace, workspace_of
from autodls.tracking.curves import Curve, aucs_of, curves_of, parameters_of
from autodls.tracking.event_files import require_tensorboard, write_events
from autodls.tracking.mlflow_store import is_elsewhere, require_mlflow, track_run
from autodls.watch import SILENT, Watch

_SECONDS_BETWEEN = 5.0
_KINDS: tuple[RoiKind, ...] = ("manual", "auto")


@dataclass(frozen=True)
class Tracked:
    """The curves that there are, the last epoch of all, and whether every fold is trained."""

    curves: int
    epochs: int
    done: bool


def track(
    dataset: Path,
    workspace: Path | None,
    *,
    tensorboard: Path | None = None,
    mlflow: str | None = None,
    remote: bool = False,
    follow: bool = False,
    watch: Watch = SILENT,
) -> Tracked:
    """Write the learning curves of a workspace into folder `tensorboard`, and into the MLflow store `mlflow`.

    That store, a folder unless `remote` allows a server, also gets the settings of the plan and, after `evaluate`, the
    AUCs. What is there is brought up to the logs; with `follow` again and again until every fold is trained. The
    workspace, which is all that is needed where it is named, is only read.

    Raises ArgumentError where neither is asked for, a package is missing, files cannot lie in a folder, or the store is
    not on this machine; PlanError without a plan; AutoDLSError where MLflow refuses.
    """
    place = planned_workspace(dataset, None) if workspace is None else workspace_of(dataset, workspace)
    plan = _checked(place, tensorboard, mlflow, remote)
    while True:
        tracked = _track_once(place, plan, tensorboard, mlflow)
        if tracked.done or not follow:
            break
        watch.note(f"tracked {tracked.epochs} epochs of {tracked.curves} networks; more to come")
        time.sleep(_SECONDS_BETWEEN)
    return tracked


def _checked(place: Workspace, tensorboard: Path | None, mlflow: str | None, remote: bool) -> Plan:
    if tensorboard is None and mlflow is None:
        raise ArgumentError("nothing to write to: give --tensorboard DIR, --mlflow DIR, or both")
    if tensorboard is not None:
        if ":" in "".join(tensorboard.parts[:1]):  # a path has lost the second slash of a URL
            raise ArgumentError(f"--tensorboard {tensorboard}: is no folder on this machine; give one")
        require_tensorboard()
        require_output(tensorboard, option="--tensorboard")
    if mlflow is not None:
        if is_elsewhere(mlflow) and not remote:
            raise ArgumentError(
                f"--mlflow {mlflow}: is no folder, and may be on another machine, which would get the settings of the "
                "plan, the curves and the AUCs; give a folder, or add --remote if that is meant"
            )
        require_mlflow()
        if not is_elsewhere(mlflow):
            require_folder(Path(mlflow), "--mlflow")
            require_output(Path(mlflow), option="--mlflow")
    return planned(place)


def _track_once(place: Workspace, plan: Plan, tensorboard: Path | None, mlflow: str | None) -> Tracked:
    found: list[Curve] = []
    begun, done = [kind for kind in _KINDS if place.of(kind).fold(0).root.parent.is_dir()], True
    for kind in begun or ["manual"]:
        one, name = place.of(kind), f"{kind} ROIs"
        curves = curves_of(one, plan.training.folds)
        done = done and all(one.fold(index).scores.exists() for index in range(plan.training.folds))
        if tensorboard is not None and curves:
            with locked_output(tensorboard):
                for curve in curves:
                    write_events(tensorboard / kind, curve)
        if mlflow is not None and curves:
            track_run(mlflow, plan.dataset, name, plan.sha256(), parameters_of(plan), curves, aucs_of(one))
        found += curves
    return Tracked(len(found), sum(len(curve.points) for curve in found), done)
