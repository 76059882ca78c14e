"""`compare`."""

import json
from pathlib import Path

from autodls.cli.console import Terminal, say, say_json, show_table
from autodls.records.model_folders import RoiKind
from autodls.stages.compare import compare


def run_compare(
    dataset: Path,
    workspace: Path | None,
    rois: RoiKind | None,
    *,
    lock: bool | str = False,
    workers: int = 1,
    as_json: bool = False,
) -> None:
    """Compare the candidates of a study, and show them."""
    found = compare(dataset, workspace, rois, lock=lock, workers=workers, watch=Terminal())
    if as_json:
        say_json(json.dumps(found.comparison.model_dump(mode="json"), indent=1))
        return
    printed = found.tables["candidates"].printed
    show_table(printed.title, printed.header, printed.lines, numbers_from=1)
    for note in printed.notes:
        say(note)
    for one in found.comparison.adds:
        say(one.sentence)
    say(f"all of it: {found.workspace.comparison}")
    if found.locked is not None:
        say(f"locked: {found.locked}; autodls predict -m {found.locked.parent} -i IMAGES --rois ROIS -o OUT")
