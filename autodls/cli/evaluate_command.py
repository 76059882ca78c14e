"""`evaluate`: the locked model on every cohort, or any table of scores."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autodls.cli.console import note, progress, say
from autodls.cli.session import Session
from autodls.cli.train_command import show_rows
from autodls.errors import ArgumentError, StaleRecordError
from autodls.evaluation.metrics import Choices, evaluate_table
from autodls.evaluation.results import Metrics
from autodls.evaluation.rows import OUT_OF_FOLD, RowAuc, cohort_rows
from autodls.evaluation.scores_table import Columns, parse_cutoffs, read_scores, table_from_rows
from autodls.planning.splits import verify_splits
from autodls.records.cohort import Case, is_missing
from autodls.records.files import sha256_of_file
from autodls.records.lock import locked
from autodls.records.model import ModelRecord
from autodls.records.scores import FUSED, write_csv
from autodls.records.splits import Splits
from autodls.records.table import read_table

Line = dict[str, str]


@dataclass(frozen=True)
class TableRequest:
    """The options of `evaluate --scores`."""

    table: Path
    scores: tuple[str, ...]
    label: str | None
    cohort: str | None
    cutoffs: tuple[str, ...]
    cutoff_from: str | None
    time: str | None
    event: str | None
    landmark: float | None
    output: Path | None


def run_evaluate_table(request: TableRequest, *, as_json: bool) -> None:
    """All metrics of any table of scores, written to OUT/metrics.json."""
    if not request.scores:
        raise ArgumentError("--score is missing: name the score column of the table, e.g. --score dls")
    if request.output is None and not as_json:
        raise ArgumentError("-o is missing: name the folder for metrics.json, or ask for --json on stdout")
    if not (request.label or (request.time and request.event)):
        raise ArgumentError("--label is missing: name the label column, or --time and --event, or all three")
    columns = Columns(
        scores=request.scores,
        label=request.label,
        time=request.time,
        event=request.event,
        cohort=request.cohort,
    )
    table = read_scores(request.table, columns)
    choices = Choices(parse_cutoffs(request.cutoffs, request.scores), request.cutoff_from, request.landmark)
    metrics = evaluate_table(table, choices)
    if request.output is not None:
        metrics.save(request.output / "metrics.json")
    if as_json:
        say(metrics.to_bytes().decode().rstrip())
    else:
        show_rows(f"AUC of {request.table.name}", metric_rows(metrics))
        say(f"all metrics: {request.output}/metrics.json")
    for warning in metrics.warnings:
        note(f"warning: {warning}")


def metric_rows(metrics: Metrics) -> list[RowAuc]:
    """The AUC of every score of every cohort."""
    return [
        RowAuc(
            cohort=name,
            row=score,
            n=cohort.n,
            positives=cohort.positives or 0,
            value=found.auc.value,
            low=found.auc.low,
            high=found.auc.high,
            reason=found.auc.reason,
        )
        for name, cohort in metrics.cohorts.items()
        for score, found in cohort.scores.items()
    ]


def run_evaluate(dataset: Path, workspace: Path | None, workers: int, *, as_json: bool) -> list[RowAuc]:
    """Score the held-out cohorts by the locked model and judge it on all cohorts; the AUC of every row."""
    from autodls.inference.heldout import score_held_out
    from autodls.inference.model_folder import load_model

    del workers
    session = Session.open(dataset, workspace)
    import torch

    with locked(session.workspace):
        model = load_model(session.workspace.model.root, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
        _require_current(session, model.record)
        lines = _out_of_fold_lines(session)
        held_out = session.cohort.held_out
        with progress("held-out cases", sum(len(cases) for cases in held_out.values())) as advance:
            for name, cases in held_out.items():
                path = session.workspace.heldout_scores(name)
                failures = score_held_out(model, cases, path, advance)
                for failure in failures:
                    note(f"not scored: {failure}")
                lines[name] = [_with_case(line, cases) for line in read_table(path)]
        rows = [row for name, members in lines.items() for row in cohort_rows(name, members, model.plan.sequences)]
        metrics = _metrics(session, lines, model.plan.sequences, model.record.cutoff)
        metrics.save(session.workspace.metrics)
        _write_rows(session, rows)
    if as_json:
        say(json.dumps([row.model_dump() for row in rows], indent=1))
    else:
        show_rows("AUC of every row in every cohort", rows)
        say(f"all metrics: {session.workspace.metrics}")
    for warning in metrics.warnings:
        note(f"warning: {warning}")
    return rows


def _require_current(session: Session, record: ModelRecord) -> None:
    """Raise StaleRecordError when table, splits or out-of-fold scores are no longer those of the locked model."""
    workspace, repair = session.workspace, "run 'autodls train fold all'"
    splits = Splits.load(workspace.splits, f"{repair} after 'autodls plan'")
    verify_splits(splits, session.training)
    if splits.sha256() != record.splits_sha256:
        raise StaleRecordError(f"{workspace.splits}: not the splits of {workspace.model.root}; {repair}")
    if not workspace.oof_scores.is_file() or sha256_of_file(workspace.oof_scores) != record.oof_scores_sha256:
        raise StaleRecordError(
            f"{workspace.oof_scores}: missing, or not the scores that {workspace.model.root} was locked by; {repair}"
        )


def _out_of_fold_lines(session: Session) -> dict[str, list[Line]]:
    lines = read_table(session.workspace.oof_scores)
    return {OUT_OF_FOLD: [_with_case(line, session.training) for line in lines]}


def _with_case(line: Line, cases: Sequence[Case]) -> Line:
    """A line of scores with the label and the follow-up of its case."""
    case = next(case for case in cases if case.id == line["case"])
    label = "" if case.label is None else str(int(case.label))
    return {**case.row, **line, "label": label}


def _metrics(session: Session, lines: dict[str, list[Line]], sequences: Sequence[str], cutoff: float) -> Metrics:
    """metrics.json; a sequence that some cases lack is left out, so that the DLS is judged on all cases."""
    rows = [{**line, "autodls_cohort": name} for name, members in lines.items() for line in members]
    complete = [name for name in sequences if all(not is_missing(row[name]) for row in rows)]
    for name in sorted(set(sequences) - set(complete)):
        note(f"some cases lack {name}: its AUC is over the cases that have it, and metrics.json leaves it out")
    survival = session.cohort.description.autodls.survival
    columns = Columns(
        scores=(FUSED, *complete),
        label="label",
        time=survival.time if survival else None,
        event=survival.event if survival else None,
        cohort="autodls_cohort",
    )
    table = table_from_rows(rows, columns, str(session.workspace.root))
    return evaluate_table(table, Choices({FUSED: cutoff}, OUT_OF_FOLD, survival.landmark if survival else None))


def _write_rows(session: Session, rows: Sequence[RowAuc]) -> None:
    header = ["cohort", "row", "n", "positives", "auc", "low", "high", "reason"]
    lines = [[r.cohort, r.row, r.n, r.positives, r.value, r.low, r.high, r.reason] for r in rows]
    write_csv(session.workspace.table("auc"), header, lines)
