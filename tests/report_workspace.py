"""Workspaces for the tests of the report, made of random scores: no image, no network."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from planning_records import fingerprint, plan, sequence

from autodls.analysis.apparent import performance_ledger
from autodls.analysis.cohort_flow import flow_of_scores
from autodls.analysis.shortcuts import covariates_of, shortcut
from autodls.evaluation.baseline import baseline_table
from autodls.evaluation.cohort_table import CohortTable
from autodls.evaluation.metrics import Choices, evaluate_table
from autodls.evaluation.score_auc import OUT_OF_FOLD
from autodls.evaluation.scores_table import ScoreTable
from autodls.preprocessing.store import FORMAT
from autodls.records.dataset import DatasetDescription, Target
from autodls.records.files import sha256_of_file
from autodls.records.fingerprint import Fingerprint
from autodls.records.model import ModelRecord
from autodls.records.scale import LogisticScale, sigmoid
from autodls.records.scores import FoldScore, write_csv
from autodls.records.splits import Fold, Splits
from autodls.records.training_log import Epoch
from autodls.records.workspace import Workspace
from autodls.report.drawn import save_figure, save_table
from autodls.report.figures.catalogue import study_figures
from autodls.report.tables.ledger import ledger_table
from autodls.report.tables.shortcuts import shortcut_table
from autodls.report.tables.study import (
    baseline_rows,
    comparison_table,
    performance_table,
)
from autodls.report.tables.survival import landmark_table, survival_table
from autodls.training.learnt import LabelCounts, judge
from autodls.training.stage_log import StageLog

SEQUENCES = ("CE", "T2")
HOSTILE = (
    "<script>window.hacked=1</script>",
    '"><img src=http://evil.example/x onerror=alert(1)>',
    "=cmd|'/c calc'!A1",
    "评分 \u202eevil\u202c \N{GRINNING FACE}",
    "</title></style><svg onload=alert(1)>",
    "&amp; 'q' `b` ${x} {{y}}",
    "x" * 300,
)


@dataclass(frozen=True)
class Wish:
    """What the workspace is to be like."""

    cases: int = 60
    held_out: int = 45
    names: tuple[str, ...] = ()
    cohort: str = "external"
    column: str = "age"
    one_class: bool = False
    all_missing: bool = False
    heatmaps: int = 2
    figures: bool = True


def description(wish: Wish) -> DatasetDescription:
    """dataset.json of the workspace."""
    return DatasetDescription.model_validate(
        {
            "name": wish.names[0] if wish.names else "phantom",
            "channel_names": {"0": "CE", "1": "T2"},
            "labels": {"background": 0, "tumour": 1},
            "autodls": {
                "target": {
                    "name": wish.names[-1] if wish.names else "PD-L1 high",
                    "column": "cps",
                    "positive": ">= 20",
                },
                "patient": "patient",
                "cohort": {"column": "cohort", "training": ["train"]},
                "survival": {"time": "pfs", "event": "event", "unit": "months", "landmark": 6},
                "clinical": [wish.column],
            },
        }
    )


def write_workspace(root: Path, wish: Wish | None = None) -> tuple[Workspace, DatasetDescription]:
    """A complete run of made-up numbers."""
    wish, workspace = wish or Wish(), Workspace(root)
    table = ScoreTable(("dls", *SEQUENCES), {OUT_OF_FOLD: _cohort(wish.cases, 0), wish.cohort: _held_out(wish)})
    cases_planned = max(wish.cases, 12)  # fewer cannot be planned for
    seen = fingerprint(cases=cases_planned, positives=cases_planned // 3, CE=sequence(), T2=sequence(missing=0.04))
    seen.save(workspace.fingerprint)
    made = plan(seen).model_copy(update={"fingerprint_sha256": sha256_of_file(workspace.fingerprint)})
    made.save(workspace.plan)
    cases = _case_names(wish)
    splits = _splits(cases)
    splits.save(workspace.splits)
    _write_scores(workspace, wish, cases, table)
    _write_model(workspace)
    _write_logs(workspace, splits)
    _write_results(workspace, wish, table, splits, cases)
    for number in range(wish.heatmaps):
        figure = Figure(figsize=(6, 2))
        figure.subplots().imshow(np.random.default_rng(number).random((8, 24)), aspect="auto")
        path = root / "results" / "heatmaps" / f"case_{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=80)
    return workspace, description(wish)


def _case_names(wish: Wish) -> list[str]:
    names = [f"case_{number:02d}" for number in range(wish.cases)]
    return [*wish.names[: wish.cases], *names[len(wish.names) :]]


def _cohort(n: int, seed: int, *, one_class: bool = False) -> CohortTable:
    rng = np.random.default_rng(seed)
    labels = np.zeros(n, dtype=bool) if one_class else np.arange(n) % 3 == 0
    scores = {name: sigmoid(1.6 * labels - 0.9 + rng.normal(0, 1, n)) for name in ("dls", *SEQUENCES)}
    return CohortTable(n, scores, labels, np.round(rng.exponential(20, n) + 0.1, 1), rng.random(n) < 0.6)


def _held_out(wish: Wish) -> CohortTable:
    return _cohort(wish.held_out, 1, one_class=wish.one_class)


def _splits(cases: list[str]) -> Splits:
    folds = []
    for index in range(3):
        validation = cases[index * len(cases) // 3 : (index + 1) * len(cases) // 3]
        others = [case for case in cases if case not in validation]
        inner, train = others[: max(len(others) // 4, 1)], others[max(len(others) // 4, 1) :]
        folds.append(Fold(index=index, train=tuple(train), inner=tuple(inner), validation=tuple(validation)))
    return Splits(seed=0, inner_holdout=0.25, cohort_sha256="0" * 64, folds=tuple(folds))


def _write_scores(workspace: Workspace, wish: Wish, cases: list[str], table: ScoreTable) -> None:
    held = table.cohorts[OUT_OF_FOLD]
    header = ["case", "fold", "label", "dls", "dls_raw", *SEQUENCES, "present", "rois"]
    lines = []
    for at, case in enumerate(cases):
        values = [float(held.scores[name][at]) for name in ("dls", "dls", *SEQUENCES)]
        lines.append([case, at % 3, int(held.labels[at]), *values, "CE T2", "manual"])  # type: ignore[index]
    write_csv(workspace.oof_scores, header, lines)
    external = table.cohorts[wish.cohort].scores
    rows = [
        [f"ext_{at:02d}", *(float(external[name][at]) for name in ("dls", "dls", *SEQUENCES))]
        for at in range(wish.held_out)
    ]  # fmt: skip
    write_csv(workspace.heldout_scores("external"), ["case", "dls", "dls_raw", *SEQUENCES], rows)


def _write_model(workspace: Workspace) -> None:
    ModelRecord(
        dataset="phantom",
        target=Target(name="PD-L1 high", column="cps", positive=">= 20"),
        channel_names={"0": "CE", "1": "T2"},
        file_ending=".nii.gz",
        roi_channel="CE",
        roi_labels=(1,),
        rois="manual",
        folds=3,
        training_cases=60,
        training_positives=20,
        recalibration=LogisticScale(slope=1.1, intercept=-0.2),
        cutoff=0.47123456789,
        cutoff_source="Youden index of the out-of-fold scores of the training cohort",
        youden_cutoff=0.47123456789,
        plan_sha256=sha256_of_file(workspace.plan),
        fingerprint_sha256=Fingerprint.load(workspace.fingerprint, "").travelling().sha256(),
        splits_sha256=sha256_of_file(workspace.splits),
        oof_scores_sha256=sha256_of_file(workspace.oof_scores),
        sample_format=FORMAT,
        files={f"fold_{fold}/fusion.safetensors": f"{fold}" * 64 for fold in range(3)},
        versions={"autodls": "0.1.0", "torch": "2.13.0"},
    ).sealed().save(workspace.model.record)


def _write_logs(workspace: Workspace, splits: Splits) -> None:
    """The last fold's T2 has diverged; the first fold's log is of a version that judged nothing."""
    rng = np.random.default_rng(2)
    for fold in splits.folds:
        log = StageLog(workspace.fold(fold.index).log)
        for stage in (*SEQUENCES, "fusion"):
            bad = stage == "T2" and fold.index == len(splits.folds) - 1
            train = 0.17 * np.exp(np.arange(12) / (3 if bad else -20)) + rng.normal(0, 0.004, 12)
            inner = 0.9 * train + 0.02 + rng.normal(0, 0.006, 12)
            epochs = _epochs(stage, train, inner)
            for epoch in epochs:
                log.add(epoch)
            found = judge(epochs, LabelCounts(10, 20), LabelCounts(4, 6), 2.0, 0.5)
            if fold.index and found:
                log.judge({stage: found})


def _epochs(stage: str, train: np.ndarray, inner: np.ndarray) -> list[Epoch]:
    return [
        Epoch(stage=stage, epoch=at, learning_rate=0.01, train_loss=float(train[at]), inner_loss=float(inner[at]),
              inner_auc=0.7, best=bool(inner[at] <= inner[: at + 1].min()), seconds=1.0)
        for at in range(len(train))
    ]  # fmt: skip


def _write_results(workspace: Workspace, wish: Wish, table: ScoreTable, splits: Splits, cases: list[str]) -> None:
    metrics = evaluate_table(table, Choices({"dls": 0.47123456789}, OUT_OF_FOLD, 6.0, out_of_fold=(OUT_OF_FOLD,)))
    metrics.save(workspace.metrics)
    rng = np.random.default_rng(0)
    ledger = performance_ledger(_fold_scores(splits, table, cases), {wish.cohort: _held_out(wish)}, {}, 0)
    tables = {
        "performance": performance_table(metrics),
        "comparisons": comparison_table(metrics),
        "survival": survival_table(metrics),
        "landmark": landmark_table(metrics),
        "ledger": ledger_table(ledger),
        "baseline": baseline_rows(_baseline(wish, rng)),
    }  # fmt: skip
    if wish.cases > 20:
        ages = {case: {"age": f"{50 + 7 * at % 31}", "sex": "mf"[at % 2]} for at, case in enumerate(cases)}
        labels = {case: bool(label) for case, label in zip(cases, table.cohorts[OUT_OF_FOLD].labels, strict=True)}  # type: ignore[arg-type]
        scores = dict(zip(cases, table.cohorts[OUT_OF_FOLD].scores["dls"].tolist(), strict=True))
        tables["shortcuts"] = shortcut_table(
            [shortcut("clinical", splits, labels, covariates_of(ages, ["age", "sex"]), scores)]
        )
    for name, made in tables.items():
        save_table(workspace.root / "results" / "tables", name, made)
    if wish.figures:
        flow = flow_of_scores(metrics)
        for name, drawn in study_figures(table, metrics, flow, rng, unit="months", calibrated=True).items():
            save_figure(workspace.root / "results" / "figures", name, drawn)


def _fold_scores(splits: Splits, table: ScoreTable, cases: list[str]) -> list[list[FoldScore]]:
    held = table.cohorts[OUT_OF_FOLD]
    assert held.labels is not None
    labels = dict(zip(cases, held.labels.tolist(), strict=True))
    rng = np.random.default_rng(5)
    known = {"train": 4.0, "inner": 1.5, "validation": 1.0}
    return [
        [
            FoldScore(
                case=case,
                part=part,  # type: ignore[arg-type]
                label=labels[case],
                logits={"dls": 0.0},
                log_odds={row: float(rng.normal(known[part] * labels[case])) for row in ("dls", *SEQUENCES)},
            )
            for part in known
            for case in getattr(fold, part)
        ]
        for fold in splits.folds
    ]  # fmt: skip


def _baseline(wish: Wish, rng: np.random.Generator):  # type: ignore[no-untyped-def]
    rows = []
    for cohort, n in (("train", wish.cases), (wish.cohort, wish.held_out)):
        for at in range(n):
            age = "" if wish.all_missing else f"{60 + rng.normal(0, 8):.1f}"
            rows.append({"cohort": cohort, wish.column: age, "sex": "mf"[at % 2]})
    names = [row["cohort"] for row in rows]
    return baseline_table({column: [row[column] for row in rows] for column in (wish.column, "sex")}, names, rng)
