"""`run`: every stage of a study that is not done yet, in its order, to the report."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict, cast

from autodls.errors import DatasetError, StaleRecordError
from autodls.planning.check import CheckReport
from autodls.planning.segmentation_time import in_words, segmentation_time
from autodls.records.plan import Plan
from autodls.records.words import plural
from autodls.records.workspace import Workspace
from autodls.stages.check import check
from autodls.stages.compare import ComparedStudy, compare, compared_with
from autodls.stages.dry_run import sample_keys
from autodls.stages.evaluate import Evaluated, evaluate
from autodls.stages.explain import Explained, explain
from autodls.stages.places import require_own
from autodls.stages.plan import Planned, plan, plan_to_be
from autodls.stages.preprocess import Preprocessed, preprocess
from autodls.stages.report import report
from autodls.stages.run_standing import RunSettings, StageName, stands
from autodls.stages.segment import Segmented, segment
from autodls.stages.session import planned
from autodls.stages.train import Trained, train
from autodls.watch import SILENT, Watch

StageResult = CheckReport | Planned | Preprocessed | Segmented | Trained | Evaluated | Explained | ComparedStudy | Path
Standing = Literal["to do", "doing", "done", "kept"]


class Results(TypedDict, total=False):
    """What the stages that were done now gave back."""

    check: CheckReport
    plan: Planned
    preprocess: Preprocessed
    segment: Segmented
    train: Trained
    evaluate: Evaluated
    explain: Explained
    compare: ComparedStudy
    report: Path


@dataclass(frozen=True)
class RunStage:
    """A stage of a run: where it stands, and how long it has taken, in seconds."""

    name: StageName
    standing: Standing = "to do"
    seconds: float = 0.0


Told = Callable[[RunStage], None]


@dataclass(frozen=True)
class StudyRun:
    """A study that has reached its report: its stages in their order, and the results of those that were done now."""

    workspace: Workspace
    stages: tuple[RunStage, ...]
    results: Results
    report: Path

    @property
    def summary(self) -> dict[str, object]:
        """Where the report lies, and what was done and kept."""
        stages = [{"stage": one.name, "standing": one.standing, "seconds": one.seconds} for one in self.stages]
        return {"report": str(self.report), "workspace": str(self.workspace.root), "stages": stages}


def run(
    settings: RunSettings,
    *,
    again: Collection[StageName] = (),
    told: Told = lambda _stage: None,
    watch: Watch = SILENT,
) -> StudyRun:
    """Do every stage of a study that is not done yet, or no longer fits, to the report.

    A plan that is there is kept. Stages of `again` are done although they stand. `told` is called with each stage, all
    of them first, and then as they go on.

    Raises DatasetError where `check` finds what must be repaired, ArgumentError where the plan that is there is of
    another preset, and whatever a stage raises: what was done before it stays, and the next run goes on with it.
    """
    require_own(settings.root)
    stages = {name: RunStage(name) for name in settings.stages}
    results: dict[StageName, StageResult] = {}
    for stage in stages.values():
        told(stage)
    for name in settings.stages:
        began = time.monotonic()
        told(RunStage(name, "doing"))
        if name not in again and stands(name, settings):
            stages[name] = RunStage(name, "kept")
        else:
            results[name] = _DO[name](settings, watch)
            stages[name] = RunStage(name, "done", round(time.monotonic() - began, 1))
        told(stages[name])
    done = cast("Results", results)
    return StudyRun(settings.workspace, tuple(stages.values()), done, settings.workspace.report)


def dry_run(settings: RunSettings, *, watch: Watch = SILENT) -> Iterator[str]:
    """What `run` would do and keep, a line a stage, and how long what is long may take; nothing is written.

    Where there is no plan yet, it is derived to know these times, and not kept. Raises as `run`.
    """
    require_own(settings.root)
    waiting, made = False, None
    for name in settings.stages:
        waiting = name != "check" and (waiting or not stands(name, settings))
        if name == "plan":
            made = _plan_to_be(settings, watch) if waiting else None
        if name == "check":
            yield "check: to do, as every time"
        else:
            yield f"{name}: {f'to do{_time(name, settings, made)}' if waiting else 'kept'}"
    yield f"the report would lie in {settings.workspace.report}"
    yield "nothing was written (--dry-run)"


def _plan_to_be(settings: RunSettings, watch: Watch) -> Plan:
    given = (settings.dataset, settings.root, settings.request)
    return plan_to_be(*given, workers=settings.workers, watch=watch)


def _time(name: StageName, settings: RunSettings, made: Plan | None) -> str:
    """How long a stage may take, where that is known; `made` is the plan that is not there yet."""
    if name == "segment":
        found = made or planned(settings.workspace)
        return f", at most {segmentation_time(found, found.training.folds)}"
    if name != "train":
        return ""
    share = 1.0 if made else _share_to_train(settings)
    minutes = (made or planned(settings.workspace)).budget.predicted_training_minutes * share
    return f", about {in_words(minutes / 60)} by the plan's estimate" if minutes else ", seconds"


def _share_to_train(settings: RunSettings) -> float:
    """The share of all encoders that are still to be trained by the plan that is there."""
    from autodls.training.forecast import forecast, share_to_train

    try:
        session = settings.session
        plan = session.plan()
        splits = session.splits(plan)
        known = (session.workspace, session.training, plan, splits, range(len(splits.folds)))
        return share_to_train(forecast(*known, sample_keys(session, plan)), plan, splits)
    except StaleRecordError:
        return 1.0  # automatic ROIs that are not drawn yet


def _check(settings: RunSettings, watch: Watch) -> CheckReport:
    found = check(settings.dataset, workers=settings.workers, watch=watch)
    if found.errors:
        more = f" (and {len(found.errors) - 1} more)" if len(found.errors) > 1 else ""
        raise DatasetError(f"{settings.dataset}: {found.errors[0]}{more}; 'autodls check' lists every problem")
    if found.warnings:
        watch.note(f"warning: check has {plural(len(found.warnings), 'warning')}, the first: {found.warnings[0]}")
    return found


def _plan(settings: RunSettings, watch: Watch) -> Planned:
    return plan(settings.dataset, settings.root, settings.request, workers=settings.workers, watch=watch)


def _preprocess(settings: RunSettings, watch: Watch) -> Preprocessed:
    return preprocess(settings.dataset, settings.root, workers=settings.workers, watch=watch)


def _segment(settings: RunSettings, watch: Watch) -> Segmented:
    return segment(settings.dataset, settings.root, workers=settings.workers, watch=watch)


def _train(settings: RunSettings, watch: Watch) -> Trained:
    return train(settings.dataset, settings.root, "all", settings.rois, workers=settings.workers, watch=watch)


def _evaluate(settings: RunSettings, watch: Watch) -> Evaluated:
    place = (settings.dataset, settings.root, settings.rois)
    return evaluate(*place, device=settings.device, workers=settings.workers, watch=watch)


def _explain(settings: RunSettings, watch: Watch) -> Explained:
    given = (settings.dataset, settings.root, None, settings.rois)
    return explain(*given, device=settings.device, workers=settings.workers, watch=watch)


def _compare(settings: RunSettings, watch: Watch) -> ComparedStudy:
    place, also = (settings.dataset, settings.root, settings.rois), compared_with(settings.workspace)
    return compare(*place, also=also, workers=settings.workers, watch=watch)


def _report(settings: RunSettings, watch: Watch) -> Path:
    return report(settings.dataset, settings.root, rois=settings.rois, watch=watch)


_DO: Mapping[StageName, Callable[[RunSettings, Watch], StageResult]] = {
    "check": _check,
    "plan": _plan,
    "preprocess": _preprocess,
    "segment": _segment,
    "train": _train,
    "evaluate": _evaluate,
    "explain": _explain,
    "compare": _compare,
    "report": _report,
}
