"""What is tracked of a workspace: a curve for each network of each fold, its plan, and AUCs once it is evaluated."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate

from autodls.evaluation.metrics_record import Metrics
from autodls.records.plan import Plan
from autodls.records.training_log import LoggedStage, log_lines, logged_stages
from autodls.records.workspace import Workspace, safe_name


@dataclass(frozen=True)
class Point:
    """One epoch: values by name, and the seconds of training up to its end."""

    epoch: int
    seconds: float
    values: Mapping[str, float]


@dataclass(frozen=True)
class Curve:
    """Of one network of one fold; its `name` is fold_0/T1WI, each part of which may name a folder."""

    name: str
    points: tuple[Point, ...]


def curves_of(workspace: Workspace, folds: int) -> tuple[Curve, ...]:
    """The curves of all folds that have begun, from their logs as they are now."""
    return tuple(
        Curve(f"fold_{index}/{safe_name(stage.stage)}", tuple(_points(stage)))
        for index in range(folds)
        for stage in logged_stages(log_lines(workspace.fold(index).log))
        if stage.epochs
    )


def _points(stage: LoggedStage) -> Iterator[Point]:
    seconds = accumulate(epoch.seconds for epoch in stage.epochs)
    for epoch, passed in zip(stage.epochs, seconds, strict=True):
        values = {
            "loss/train": epoch.train_loss,
            "loss/inner": epoch.inner_loss,
            "learning_rate": epoch.learning_rate,
        }
        if epoch.inner_auc is not None:
            values["auc/inner"] = epoch.inner_auc
        yield Point(epoch.epoch, round(passed, 3), values)


def parameters_of(plan: Plan) -> dict[str, str]:
    """Settings of a plan as text by dotted name, without reasons, expectations and folders of this machine."""
    content = plan.without_paths().model_dump(mode="json", include={"preset", *_SETTINGS})
    return {name: text for name, text in _flat("", content) if text != "None"}


_SETTINGS = ("preprocessing", "network", "training")


def _flat(prefix: str, content: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for name, value in content.items():
        if isinstance(value, dict):
            yield from _flat(f"{prefix}{name}.", value)
        else:
            yield f"{prefix}{name}", str(value)


def aucs_of(workspace: Workspace) -> dict[str, float]:
    """AUC of every score in every cohort, with its interval, by cohort/score; nothing before `evaluate`."""
    if not workspace.metrics.is_file():
        return {}
    metrics = Metrics.load(workspace.metrics, "run 'autodls evaluate'")
    found = {
        f"auc/{safe_name(cohort)}/{safe_name(score)}{suffix}": value
        for cohort, judged in metrics.cohorts.items()
        for score, of_score in judged.scores.items()
        for suffix, value in (("", of_score.auc.value), (".low", of_score.auc.low), (".high", of_score.auc.high))
    }
    return {name: value for name, value in found.items() if value is not None}
