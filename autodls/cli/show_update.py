"""`update`, as a person sees it: both models' figures beside each other."""

from autodls.analysis.updated_model import WHAT, doubts, table, why
from autodls.cli.console import say, say_json, show_table
from autodls.records.formatting import estimate
from autodls.stages.update import Updated


def show_updated(found: Updated, *, asked_for: bool, as_json: bool) -> None:
    """The figures, and what came of it; `asked_for`: a folder for the updated model was named."""
    if as_json:
        say_json(found.update.to_bytes().decode().rstrip())
        return
    what = found.update
    title = f"{what.dataset}: {what.cases} cases, {what.positives} positive; AUC of both models {estimate(what.auc)}"
    show_table(title, ["", "first model", "updated, cross-fitted"], table(what.before, what.after))
    say(f"updated: {WHAT[what.method]} ({why(what)})")
    say(f"Brier score of the first model less that of the updated one: {estimate(what.brier_gain, 4)}")
    for doubt in doubts(what):
        say(doubt)
    say(_outcome(found, asked_for=asked_for))


def _outcome(found: Updated, *, asked_for: bool) -> str:
    what = found.update
    if what.method == "none":
        return "no update needed that these cases can show: the first model stays, and nothing is written"
    if not asked_for:
        return "nothing written; name a folder for the updated model with -o"
    return f"updated model: {found.folder}, high at or above {what.cutoff:.3f} (before: {what.cutoff_before:.3f})"
