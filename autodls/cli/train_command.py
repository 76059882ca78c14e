"""`train fold all` and `train fold K`, as a person sees them."""

import json
from pathlib import Path

from autodls.cli.auc_table import show_rows
from autodls.cli.console import Terminal, note, say, say_json
from autodls.jobs.executor import LOCAL, Executor
from autodls.records.model import ModelRecord
from autodls.records.model_folders import RoiKind
from autodls.stages.train import Trained, train


def run_train(
    dataset: Path,
    workspace: Path | None,
    which: str,
    rois: RoiKind,
    *,
    restart: bool,
    workers: int,
    as_json: bool,
    at_once: int | None = None,
    executor: Executor = LOCAL,
) -> None:
    """Train one fold or all; with all, show the model's out-of-fold AUCs."""
    done = train(
        dataset,
        workspace,
        which,
        rois,
        restart=restart,
        workers=workers,
        at_once=at_once,
        executor=executor,
        watch=Terminal(),
    )
    show_trained(done, which, as_json=as_json)


def show_trained(done: Trained, which: str = "all", *, as_json: bool = False) -> None:
    """Print what was trained; with all folds, the model's out-of-fold AUCs."""
    if done.model is not None:
        _show_model(done, done.model, as_json)
    elif as_json:
        weights = str(done.workspace.fold(done.folds[0]).root)
        say_json(json.dumps({"fold": done.folds[0], "weights": weights}, indent=1))
    else:
        say(f"fold {which} is trained. When all folds are: autodls train fold all locks the ensemble")


def _show_model(done: Trained, record: ModelRecord, as_json: bool) -> None:
    root = done.workspace.model.root
    if as_json:
        content = {"model": str(root), "cutoff": record.cutoff}
        say_json(json.dumps({**content, "auc": [row.model_dump() for row in done.auc]}, indent=1))
        return
    show_rows("Out-of-fold AUC (each case scored by the fold that did not see it)", done.auc)
    if done.by_mean:
        say(
            f"In {done.by_mean} of {record.folds} folds dls is the mean of the sequences' log-odds: the transformer "
            "was not shown to be better"
        )
    say(f"Locked model: {root} (cut-off {record.cutoff:.3f}, {record.cutoff_source})")
    given, chosen = ("--rois ROIS ", "") if record.rois == "manual" else ("", " --rois auto")
    note(f"next: autodls predict -i IMAGES {given}-o OUT, or autodls evaluate{chosen} for the held-out cohorts")
