"""Held-out cases of `evaluate` that a cluster scores."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from autodls.errors import ArgumentError
from autodls.jobs.executor import Executor
from autodls.records.case import Case
from autodls.records.model import ModelRecord
from autodls.records.workspace import Workspace, finished_rows
from autodls.watch import Watch

if TYPE_CHECKING:
    import torch


def require_given_rois(workspace: Workspace, executor: Executor) -> None:
    """Raise ArgumentError where a cluster is asked for and ROIs of held-out cases have to be drawn."""
    if executor.name != "local" and workspace.rois == "auto":
        raise ArgumentError(
            f"--executor {executor.name}: ROIs of held-out cases are drawn on this machine alone; leave it out, or "
            "evaluate the model of manual ROIs (--rois manual)"
        )


def score_away(
    executor: Executor,
    workspace: Workspace,
    model: ModelRecord,
    cases: Sequence[Case],
    cohort: str,
    device: "torch.device",
    watch: Watch,
) -> None:
    """Let `executor` score those `cases` of a held-out `cohort` that have no score yet.

    This machine finds them among the finished ones when it scores the cohort; what could not be scored it tries itself.
    """
    from autodls.inference.heldout_scores import scores_kept
    from autodls.inference.inputs import InputCase
    from autodls.jobs.score import HeldOut, score_on

    record = workspace.heldout_record(cohort)
    kept = scores_kept(model, cases, record)
    fresh = [InputCase(case.id, case.images, case.roi) for case in cases if case.id not in kept and case.gap is None]
    if not fresh:
        return
    held_out = HeldOut(workspace.model.root, tuple(fresh), finished_rows(record), workspace.jobs, device)
    with watch.progress(f"held-out cases by {executor.name}", len(fresh)) as advance:
        score_on(executor, held_out, advance, note=watch.note)
