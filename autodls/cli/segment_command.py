"""`segment fold all` and `segment fold K`, as a person sees them."""

import json
from collections import Counter
from pathlib import Path

from autodls.cli.console import Terminal, note, say, say_json, show_table
from autodls.records.automatic_roi import MaskSource
from autodls.stages.segment import Segmented, segment

_SOURCES: dict[MaskSource, str] = {
    "threshold": "drawn at 0.5",
    "lower-threshold": "drawn at the lower threshold",
    "whole-field": "not found: the whole field",
}


def run_segment(
    dataset: Path, workspace: Path | None, which: str, *, restart: bool, workers: int, as_json: bool
) -> None:
    """Train nnU-Net on one fold or all, draw, and show how the ROIs came about."""
    _show(segment(dataset, workspace, which, restart=restart, workers=workers, watch=Terminal()), as_json)


def _show(done: Segmented, as_json: bool) -> None:
    record = done.record
    count = Counter(row.source for row in record.cases)
    confidence = sum(row.confidence for row in record.cases) / max(1, len(record.cases))
    if as_json:
        content = {"masks": str(done.workspace.segmented), "cases": len(record.cases), "sources": count}
        say_json(json.dumps({**content, "mean_confidence": confidence}, indent=1))
        return
    rows = [[words, str(count[source])] for source, words in _SOURCES.items()]
    show_table(
        "Automatic ROIs (each drawn by the fold that did not see the case)",
        ["ROI", "training cases"],
        rows,
        numbers_from=1,
    )
    for row in record.cases:
        if row.flags:
            note(f"look at {row.case}: {'; '.join(row.flags)}")
    say(f"Mean confidence {confidence:.2f} in {len(record.cases)} of {done.training} training cases")
    if done.complete:
        note("next: autodls train fold all --rois auto")
    else:
        note("when all folds are segmented: autodls train fold all --rois auto")
