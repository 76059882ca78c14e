"""`preprocess`: the 2.5D sample of every training case."""

from dataclasses import dataclass
from pathlib import Path

from autodls.records.lock import locked
from autodls.records.plan import Plan
from autodls.stages.provenance import note_run
from autodls.stages.session import Session, planned_workspace
from autodls.watch import SILENT, KeepingWatch, Watch


@dataclass(frozen=True)
class Preprocessed:
    """The samples of the training cohort: where they lie, the key of each case, and what a person should look at."""

    folder: Path
    keys: dict[str, str]
    warnings: tuple[str, ...] = ()


def preprocess(
    dataset: Path, workspace: Path | None = None, *, workers: int = 1, watch: Watch = SILENT
) -> Preprocessed:
    """Write the samples of the training cohort, by `workers` processes; those that still fit are kept.

    Raises StaleRecordError where there is no plan, or one of another dataset.
    """
    told = KeepingWatch(watch)
    session = Session.open(dataset, workspace)
    with locked(planned_workspace(dataset, workspace)):
        plan = session.plan()
        keys = preprocess_training(session, plan, workers, told)
        samples = [session.workspace.sample(case.id) for case in session.training]
        made_from = [session.workspace.plan]
        note_run(watch.command, session.workspace, "preprocess", plan.training.seed, made_from, samples)
    return Preprocessed(session.workspace.sample("x").parent, keys, told.warnings)


def preprocess_training(session: Session, plan: Plan, workers: int, watch: Watch = SILENT) -> dict[str, str]:
    """Prepare the training cases; samples that still fit are kept. The key of each; warnings go to `watch`."""
    from autodls.preprocessing.stage import preprocess_cases

    cases = session.training
    with watch.progress("preprocessing", len(cases)) as advance:
        place = session.workspace
        beside = [other.sample for other in place.beside]
        done = preprocess_cases(cases, session.roi_labels, plan, place.sample, workers, advance, beside)
    for warning in done.warnings:
        watch.note(f"warning: {warning}")
    if done.left_out:
        made = plan.preprocessing
        each = "" if made.lesions else '; with "lesions": "components" in dataset.json each part is scored'
        watch.note(
            f"warning: in {done.left_out} of {len(cases)} cases the pictures leave tumour out; crop_mm is "
            f"{made.crop_mm:g}, of which the network sees {made.seen_mm:.0f} mm: look at these cases, or set a larger "
            f"preprocessing.crop_mm in plan.json{each}"
        )
    return done.keys
