"""The AUC of every row (the DLS and each sequence) of a cohort, over all cases that have the row."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from autodls.evaluation.delong import auc_with_ci
from autodls.evaluation.intervals import printed_auc
from autodls.evaluation.metrics_record import Metrics
from autodls.evaluation.score_auc import OUT_OF_FOLD, ScoreAuc
from autodls.records.scores import FUSED
from autodls.records.table import read_table


def row_auc(
    cohort: str,
    row: str,
    labels: Sequence[bool],
    scores: Sequence[float],
    patients: Sequence[str] | None = None,
    *,
    out_of_fold: bool = False,
) -> ScoreAuc:
    """The AUC of one row; `patients` names the patient of each case, `out_of_fold` says who scored them."""
    truth, values = np.array(labels, dtype=bool), np.array(scores, dtype=float)
    measured = auc_with_ci(truth, values, patients=patients, out_of_fold=out_of_fold)
    found = printed_auc(truth, values, measured, patients)
    return ScoreAuc(
        cohort=cohort,
        row=row,
        n=len(labels),
        positives=int(sum(labels)),
        value=found.value,
        low=found.low,
        high=found.high,
        reason=found.reason,
        method=found.method,
    )


def cohort_rows(
    cohort: str,
    lines: Sequence[Mapping[str, str]],
    sequences: Sequence[str],
    patients: Mapping[str, str] | None = None,
    *,
    out_of_fold: bool = False,
) -> list[ScoreAuc]:
    """AUC of the DLS and of each sequence from lines with a column `label` (0, 1 or empty) and one for each row.

    `patients` gives the patient of each case, by which the lines have a column `case`.
    """
    rows = []
    for row in (FUSED, *sequences):
        known = [line for line in lines if line.get(row) and line.get("label")]
        labels = [line["label"] == "1" for line in known]
        members = None if patients is None else [patients[line["case"]] for line in known]
        values = [float(line[row]) for line in known]
        rows.append(row_auc(cohort, row, labels, values, members, out_of_fold=out_of_fold))
    return rows


def out_of_fold_aucs(path: Path, sequences: Sequence[str], patients: Mapping[str, str] | None = None) -> list[ScoreAuc]:
    """The AUCs of oof_scores.csv; `patients` gives the patient of each case."""
    return cohort_rows(OUT_OF_FOLD, read_table(path), sequences, patients, out_of_fold=True)


def metric_rows(metrics: Metrics) -> list[ScoreAuc]:
    """The AUC of every score of every cohort."""
    return [
        ScoreAuc(
            cohort=name,
            row=score,
            n=found.n or 0,
            positives=found.positives or 0,
            **found.auc.model_dump(include={"value", "low", "high", "reason", "method"}),
        )
        for name, cohort in metrics.cohorts.items()
        for score, found in cohort.scores.items()
    ]
