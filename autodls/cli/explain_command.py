"""`explain`."""

import json
from pathlib import Path
from statistics import fmean

from autodls.cli.console import Terminal, say, say_json, show_table
from autodls.inference.explain import ALL
from autodls.records.model_folders import RoiKind
from autodls.records.scores import FUSED
from autodls.stages.explain import Explained, explain
from autodls.stages.heatmaps import ExplainedCase


def run_explain(
    dataset: Path,
    workspace: Path | None,
    cases: str | None,
    rois: RoiKind | None = None,
    *,
    device: str = "auto",
    workers: int = 1,
    as_json: bool,
) -> None:
    """Explain cases, and show how much of each map lies in the tumour."""
    found = explain(dataset, workspace, cases, rois, device=device, workers=workers, watch=Terminal())
    if as_json:
        say_json(json.dumps({"folder": str(found.folder.root), **found.summary}, indent=1))
        return
    lines = [_shares_line(case, found) for case in found.cases]
    head = ["case", "cohort", "explained by", "DLS", "in tumour", "5 mm rim", "outside", "tumour's area"]
    show_table("Share of the fused score's heat map, mean of the planes", head, lines, numbers_from=3)
    if found.verdict is not None:
        say(f"{found.verdict.text}; {found.verdict.thresholds}")
    say(f"pictures, maps and tables: {found.folder.root}")


def _shares_line(case: ExplainedCase, found: Explained) -> list[str]:
    of_case = [row for row in found.shares if (row.case, row.score, row.sequence) == (case.files.id, FUSED, ALL)]
    parts = [[getattr(row, name) for row in of_case] for name in ("tumour", "rim", "outside", "tumour_area")]
    known = [[value for value in part if value is not None] for part in parts]
    score = "" if case.dls is None else f"{case.dls:.3f}"
    return [case.files.id, case.cohort, case.by, score, *(f"{fmean(part):.0%}" if part else "-" for part in known)]
