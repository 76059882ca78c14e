"""`check`, `plan` and `preprocess`."""

import json
import math
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from autodls.cli.console import note, progress, say, say_json, show_table
from autodls.cli.plan_view import View, show_plan
from autodls.errors import ArgumentError, PlanError, StaleRecordError, WeightsError
from autodls.limits import MOST_SHOWN
from autodls.machine import usable_cores, usable_memory_gib
from autodls.planning.check import CheckReport, check_dataset, table_warnings
from autodls.planning.decision import Card, Resources, Step, StepCost
from autodls.planning.fingerprint import extract_fingerprint
from autodls.planning.planner import derive_plan
from autodls.planning.presets import load_preset
from autodls.planning.splits import make_splits, require_both_classes, require_same_draw
from autodls.records.cohort import join_cohort
from autodls.records.lock import locked
from autodls.records.plan import Plan
from autodls.records.splits import Splits
from autodls.records.words import plural
from autodls.records.workspace import Workspace
from autodls.stages.experiments import begin_experiments, require_shared_splits, take_shared_splits
from autodls.stages.places import require_own
from autodls.stages.provenance import note_run
from autodls.stages.replan import keep_previous, refuse_where_trained, throw_away
from autodls.stages.session import Session, planned, planned_workspace, workspace_of

_SHARE_OF_MEMORY = 0.8  # the rest is for the system and for reading images


@dataclass(frozen=True)
class PlanRequest:
    """What a person asked of the planner."""

    preset: str = "auto"
    memory_gib: float | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    encoder_weights: str | None = None


def run_check(dataset: Path, workers: int, as_json: bool) -> int:
    """Check a dataset folder and print what is wrong; the exit status, 2 when there are errors."""
    cases = len(join_cohort(dataset).cohort.cases)
    with progress("checking cases", cases) as advance:
        report = check_dataset(dataset, workers, advance)
    if as_json:
        say_json(json.dumps(asdict(report), default=str, indent=1))
    else:
        _show_check(report)
    return 2 if report.errors else 0


def _show_check(report: CheckReport) -> None:
    show_table(
        f"Dataset {report.dataset}",
        ["cohort", "cases", "patients", "positive", "negative", "no label", "missing sequences"],
        [
            [
                name,
                *(str(n) for n in (count.cases, count.patients, count.positives, count.negatives, count.unlabelled)),
                ", ".join(f"{sequence} {n}" for sequence, n in count.missing.items() if n) or "none",
            ]
            for name, count in report.cohorts.items()
        ],
    )
    if report.problems:
        rows = [[p.severity, p.case or "(dataset)", p.what, p.repair] for p in report.problems[:MOST_SHOWN]]
        show_table("Problems", ["", "case", "what", "repair"], rows)
        if len(report.problems) > MOST_SHOWN:
            say(f"and {len(report.problems) - MOST_SHOWN} more, which --json lists\n")
    verdict = "nothing is wrong" if not report.errors else f"{len(report.errors)} errors must be repaired"
    say(f"{verdict}; {len(report.warnings)} warnings. Next: autodls plan" if not report.errors else verdict)


def run_explain_plan(dataset: Path, workspace: Path | None, request: PlanRequest, *, as_json: bool) -> None:
    """Show the plan that is there, every value with its reason; nothing is derived, nothing is written."""
    plan = planned(workspace_of(dataset, workspace))
    if request != PlanRequest():
        note("--explain shows the plan that is there: options that make one are for 'autodls plan' without it")
    show_plan(plan.model_copy(update={"reasons": plan.told_reasons}), "json" if as_json else "explain")


def run_plan(
    dataset: Path, workspace: Path | None, request: PlanRequest, workers: int, view: View, *, restart: bool = False
) -> Plan:
    """Derive and write fingerprint, plan and splits; splits that still fit are kept, and so is what is replaced.

    Raises PlanError where folds are trained by what would be replaced; `restart` throws them away.
    """
    session = Session.open(dataset, workspace)
    require_own(session.workspace.root)
    preset = load_preset(request.preset)
    resources = resources_of(request)
    warnings: list[str] = []
    with locked(session.workspace):
        with progress("fingerprint", len(session.training)) as advance:
            fingerprint = extract_fingerprint(session.cohort, workers, advance, warnings.append)
        for line in warnings:
            note(f"warning: {line}")
        if doubtful := len(table_warnings(dataset)):
            note(f"{plural(doubtful, 'warning')} about the table or the names of files: 'autodls check' lists them")
        plan = derive_plan(fingerprint, preset, resources, request.encoder_weights)
        _require_weights(plan)
        plan = _as_measured_before(session.workspace, plan)
        take_shared_splits(session.workspace, anew=restart)
        splits = _splits(session, plan, restart=restart)
        splits = splits.model_copy(update={"inputs_sha256": fingerprint.inputs_sha256})
        place = session.workspace
        require_shared_splits(place, splits)
        if restart:
            throw_away(place)
        else:
            refuse_where_trained(place, plan, splits)
        keep_previous(place.plan, place.previous_plan, plan.to_bytes())
        keep_previous(place.splits, place.previous_splits, splits.to_bytes())
        begin_experiments(place.root, fingerprint, splits)
        fingerprint.save(place.fingerprint)
        splits.save(place.splits)
        plan.save(place.plan)
        note_run(sys.argv, place, "plan", plan.training.seed, [], [place.fingerprint, place.splits, place.plan])
    show_plan(plan, view)
    return plan


def _require_weights(plan: Plan) -> None:
    """Say now that a weights file is not there, or not of the encoder, not after hours of preprocessing."""
    source = plan.network.encoder_weights
    if source in ("imagenet", "random"):
        return
    if not Path(source).is_file():
        raise WeightsError(
            f"encoder weights '{source}': neither imagenet, random nor a file; correct --encoder-weights"
        )
    from autodls.training.weights import encoder_weights  # torch and MONAI: only a file needs them

    encoder_weights(plan.network.encoder, source)


def resources_of(request: PlanRequest) -> Resources:
    """What this machine, or the person, lets training use."""
    import torch

    from autodls.models.device import resolve_device
    from autodls.models.fold_model import has_bf16

    device: Literal["cpu", "cuda"] = "cuda" if resolve_device(request.device).type == "cuda" else "cpu"
    on_gpu = device == "cuda"
    total_gib = torch.cuda.get_device_properties(0).total_memory / 2**30 if on_gpu else usable_memory_gib()
    memory_gib = request.memory_gib if request.memory_gib is not None else round(_SHARE_OF_MEMORY * total_gib, 1)
    if not 0 < memory_gib < math.inf:
        raise ArgumentError(f"--memory-gib {memory_gib:g}: expected a positive number of GiB")
    return Resources(memory_gib, device, has_bf16(torch.device(device)), usable_cores(), _card() if on_gpu else None)


def _card() -> Card:
    """The GPU that is here; steps are tried on it while its name stands on stderr."""
    import torch

    from autodls.training.probe import probe_step

    device, name = torch.device("cuda"), torch.cuda.get_device_name()

    def cost_of(step: Step) -> StepCost | None:
        note(f"{name}: trying steps of {step.encoder} on {step.batch_size} cases of {step.input_px} px")
        return probe_step(step, device)

    return Card(name, cost_of)


def _splits(session: Session, plan: Plan, *, restart: bool) -> Splits:
    """The splits on disk where they still fit, else new ones; other draws of the same cases only with `restart`."""
    training = plan.training
    if session.workspace.splits.exists():
        try:
            splits = session.fitting_splits(plan)
        except (StaleRecordError, PlanError) as unfit:
            note(f"new splits: {unfit}")
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


def run_preprocess(dataset: Path, workspace: Path | None, workers: int) -> None:
    """Write the samples of the training cohort."""
    session = Session.open(dataset, workspace)
    with locked(planned_workspace(dataset, workspace)):
        plan = session.plan()
        preprocess_training(session, plan, workers)
        samples = [session.workspace.sample(case.id) for case in session.training]
        note_run(sys.argv, session.workspace, "preprocess", plan.training.seed, [session.workspace.plan], samples)
    say(f"{len(session.training)} samples in {session.workspace.sample('x').parent}. Next: autodls train fold all")


def preprocess_training(session: Session, plan: Plan, workers: int) -> dict[str, str]:
    """Prepare the training cases; samples that still fit are kept. The key of each; warnings go to stderr."""
    from autodls.preprocessing.stage import preprocess_cases

    cases = session.training
    with progress("preprocessing", len(cases)) as advance:
        place = session.workspace
        beside = [other.sample for other in place.beside]
        done = preprocess_cases(cases, session.roi_labels, plan, place.sample, workers, advance, beside)
    for warning in done.warnings:
        note(f"warning: {warning}")
    if done.left_out:
        made = plan.preprocessing
        note(
            f"warning: in {done.left_out} of {len(cases)} cases the pictures leave tumour out; crop_mm is "
            f"{made.crop_mm:g}, of which the network sees {made.seen_mm:.0f} mm: look at these cases, or set a larger "
            "preprocessing.crop_mm in plan.json"
        )
    return done.keys
