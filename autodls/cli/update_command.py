"""`update`."""

from pathlib import Path
from typing import TYPE_CHECKING

from autodls.cli.console import Terminal, say, say_json, show_table
from autodls.records.formatting import estimate
from autodls.stages.update import update

if TYPE_CHECKING:
    from autodls.records.update import Method, ModelUpdate
    from autodls.stages.update import Updated

_EXIT_SOME_FAILED = 1


def run_update(
    dataset: Path,
    output: Path | None,
    model: Path,
    method: "Method | None",
    *,
    device: str,
    workers: int,
    as_json: bool,
) -> int:
    """Update a model and show both models' figures; the exit status, 1 when some cases could not be scored."""
    found = update(dataset, output, model=model, method=method, device=device, workers=workers, watch=Terminal())
    if as_json:
        say_json(found.update.to_bytes().decode().rstrip())
    else:
        _show(found.update)
        say(_outcome(found, asked_for=output is not None))
    return _EXIT_SOME_FAILED if found.unscored else 0


def _show(what: "ModelUpdate") -> None:
    from autodls.analysis.updated_model import WHAT, small_sample, table, why

    title = f"{what.dataset}: {what.cases} cases, {what.positives} positive; AUC of both models {estimate(what.auc)}"
    show_table(title, ["", "first model", "updated, cross-fitted"], table(what.before, what.after))
    say(f"updated: {WHAT[what.method]} ({why(what)})")
    say(f"Brier score of the first model less that of the updated one: {estimate(what.brier_gain, 4)}")
    if few := small_sample(what):
        say(few)


def _outcome(found: "Updated", *, asked_for: bool) -> str:
    what = found.update
    if what.method == "none":
        return "no update needed that these cases can show: the first model stays, and nothing is written"
    if not asked_for:
        return "nothing written; name a folder for the updated model with -o"
    return f"updated model: {found.folder}, high at or above {what.cutoff:.3f} (before: {what.cutoff_before:.3f})"
