"""`plan`: what the training cohort is, and every choice that follows from it."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from autodls.errors import ArgumentError, PlanError, StaleRecordError, WeightsError
from autodls.machine import usable_cores, usable_memory_gib
from autodls.planning.check import table_warnings
from autodls.planning.decision import Card, Resources, Step, StepCost
from autodls.planning.fingerprint import extract_fingerprint
from autodls.planning.planner import derive_plan
from autodls.planning.presets import Preset, load_preset
from autodls.planning.request import PlanRequest
from autodls.planning.splits import make_splits, require_both_classes, require_same_draw
from autodls.records.encoders import ENCODER_SPECS
from autodls.records.fingerprint import Fingerprint
from autodls.records.lock import locked
from autodls.records.plan import Plan
from autodls.records.splits import Splits
from autodls.records.words import plural
from autodls.records.workspace import Workspace
from autodls.stages.experiments import begin_experiments, require_shared_splits, take_shared_splits
from autodls.stages.places import require_own
from autodls.stages.provenance import note_run
from autodls.stages.replan import keep_previous, refuse_where_trained, throw_away
from autodls.stages.session import Session, planned, workspace_of
from autodls.watch import SILENT, WARNING, KeepingWatch, Watch

_SHARE_OF_MEMORY = 0.8  # the rest is for the system and for reading images


@dataclass(frozen=True)
class Planned:
    """The plan, the workspace where it lies, and `warnings` of what a person should look at before training."""

    workspace: Workspace
    plan: Plan
    warnings: tuple[str, ...] = ()


def plan(
    dataset: Path,
    workspace: Path | None = None,
    request: PlanRequest | None = None,
    *,
    workers: int = 1,
    restart: bool = False,
    watch: Watch = SILENT,
) -> Planned:
    """Derive and write fingerprint, plan and splits; splits that still fit are kept, and so is what is replaced.

    Raises PlanError where folds are trained by what would be replaced; `restart` throws them away.
    """
    request = request if request is not None else PlanRequest()
    session = Session.open(dataset, workspace)
    require_own(session.workspace.root)
    preset = load_preset(request.preset)
    told = KeepingWatch(watch)
    resources = resources_of(request, told)
    with locked(session.workspace):
        fingerprint, made = _derived(session, request, preset, resources, workers, told)
        if doubtful := len(table_warnings(dataset)):
            said = plural(doubtful, "warning")
            told.note(f"{WARNING}{said} about the table or the names of files: 'autodls check' lists them")
        made = _as_measured_before(session.workspace, made)
        take_shared_splits(session.workspace, anew=restart)
        splits = _splits(session, made, told, restart=restart)
        splits = splits.model_copy(update={"inputs_sha256": fingerprint.inputs_sha256})
        place = session.workspace
        require_shared_splits(place, splits)
        if restart:
            throw_away(place, told)
        else:
            refuse_where_trained(place, made, splits, told)
        keep_previous(place.plan, place.previous_plan, made.to_bytes(), told)
        keep_previous(place.splits, place.previous_splits, splits.to_bytes(), told)
        begin_experiments(place.root, fingerprint, splits)
        fingerprint.save(place.fingerprint)
        splits.save(place.splits)
        made.save(place.plan)
        note_run(watch.command, place, "plan", made.training.seed, [], [place.fingerprint, place.splits, place.plan])
    return Planned(place, made, told.warnings)


def plan_to_be(dataset: Path, workspace: Path | None, request: PlanRequest, *, workers: int, watch: Watch) -> Plan:
    """The plan that `plan` would make; nothing is written or locked, but every training image is read."""
    session = Session.open(dataset, workspace)
    require_own(session.workspace.root)
    preset = load_preset(request.preset)
    return _derived(session, request, preset, resources_of(request, watch), workers, watch)[1]


def _derived(
    session: Session, request: PlanRequest, preset: Preset, resources: Resources, workers: int, watch: Watch
) -> tuple[Fingerprint, Plan]:
    """What the training cohort is, and the plan that follows; `watch` is told of doubts."""
    doubts: list[str] = []
    with watch.progress("fingerprint", len(session.training)) as advance:
        fingerprint = extract_fingerprint(session.cohort, workers, advance, doubts.append)
    for line in doubts:
        watch.note(f"{WARNING}{line}")
    asked = (_weights_of(request), request.encoder)
    made = derive_plan(fingerprint, preset, resources, *asked, encoder_frozen=request.encoder_frozen)
    _require_weights(made)
    return fingerprint, made


def explain_plan(
    dataset: Path, workspace: Path | None = None, request: PlanRequest | None = None, *, watch: Watch = SILENT
) -> Plan:
    """The plan that is there, values that were set by hand since with that reason; nothing is derived or written.

    `watch` is told where a `request` asks for another one. Raises PlanError where there is none.
    """
    found = planned(workspace_of(dataset, workspace))
    if request not in (None, PlanRequest()):
        watch.note("--explain shows the plan that is there: options that make one are for 'autodls plan' without it")
    return found.model_copy(update={"reasons": found.told_reasons})


def _weights_of(request: PlanRequest) -> str | None:
    """What the person asks for: of a MONAI bundle the file in its folder."""
    if request.encoder_weights is None or not Path(request.encoder_weights).is_dir():
        return request.encoder_weights
    from autodls.training.weights import weights_file

    return weights_file(request.encoder_weights)


def _require_weights(plan: Plan) -> None:
    """Say now that a weights file is not there, or not of the encoder, not after hours of preprocessing."""
    source, encoder = plan.network.encoder_weights, plan.network.encoder
    file = ENCODER_SPECS[encoder].imagenet
    if source == "random" or (source == "imagenet" and (file is None or file.package is None)):
        return
    if source != "imagenet" and not Path(source).is_file():
        raise WeightsError(
            f"encoder weights '{source}': neither imagenet, random nor a file; correct --encoder-weights"
        )
    from autodls.training.weights import encoder_weights  # torch and MONAI: only a file needs them

    encoder_weights(encoder, source)


def resources_of(request: PlanRequest, watch: Watch = SILENT) -> Resources:
    """What this machine, or the person, lets training use."""
    import torch

    from autodls.models.device import resolve_device
    from autodls.models.network import has_bf16

    device: Literal["cpu", "cuda"] = "cuda" if resolve_device(request.device).type == "cuda" else "cpu"
    on_gpu = device == "cuda"
    total_gib = torch.cuda.get_device_properties(0).total_memory / 2**30 if on_gpu else usable_memory_gib()
    memory_gib = request.memory_gib if request.memory_gib is not None else round(_SHARE_OF_MEMORY * total_gib, 1)
    if not 0 < memory_gib < math.inf:
        raise ArgumentError(f"--memory-gib {memory_gib:g}: expected a positive number of GiB")
    return Resources(
        memory_gib, device, has_bf16(torch.device(device)), usable_cores(), _card(watch) if on_gpu else None
    )


def _card(watch: Watch) -> Card:
    """The GPU that is here; steps are tried on it while `watch` is told its name."""
    import torch

    from autodls.training.probe import probe_step

    device, name = torch.device("cuda"), torch.cuda.get_device_name()

    def cost_of(step: Step) -> StepCost | None:
        watch.note(f"{name}: trying steps of {step.encoder} on {step.batch_size} cases of {step.input_px} px")
        return probe_step(step, device)

    return Card(name, cost_of)


def _splits(session: Session, plan: Plan, watch: Watch, *, restart: bool) -> Splits:
    """The splits on disk where they still fit, else new ones; other draws of the same cases only with `restart`."""
    training = plan.training
    if session.workspace.splits.exists():
        try:
            splits = session.fitting_splits(plan)
        except (StaleRecordError, PlanError) as unfit:
            watch.note(f"new splits: {unfit}")
        else:
            if not restart:
                require_same_draw(splits, training)
            if (splits.seed, splits.inner_holdout) == (training.seed, training.inner_holdout):
                return splits
    splits = make_splits(session.training, training.folds, training.inner_holdout, training.seed)
    require_both_classes(splits, session.training, plan.sequences)
    return splits


def _as_measured_before(workspace: Workspace, plan: Plan) -> Plan:
    """The plan on disk where a new one differs by nothing but what was measured: no two measurements are the same.

    What was trained by the plan would else have to be trained anew.
    """
    if plan.budget.measured_on is None or not workspace.plan.exists():
        return plan
    try:
        before = Plan.load(workspace.plan, "")
    except PlanError:
        return plan
    measured = {"predicted_memory_gib", "predicted_training_minutes"}
    reasons = plan.reasons | {f"budget.{name}": before.reasons.get(f"budget.{name}", "") for name in measured}
    budget = plan.budget.model_copy(update={name: getattr(before.budget, name) for name in measured})
    return before if before == plan.model_copy(update={"budget": budget, "reasons": reasons}) else plan
