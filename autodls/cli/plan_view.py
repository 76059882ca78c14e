"""The plan, printed."""

from typing import Literal

from autodls.cli.console import note, say, say_json, show_table
from autodls.planning.segmentation_time import segmentation_time
from autodls.records.plan import Plan

View = Literal["summary", "explain", "json"]
_SECTIONS = ("preprocessing.", "network.", "training.", "segmentation.", "budget.")
_NO_REASON = "None is recorded: the plan is older than this setting."


def show_plan(plan: Plan, view: View) -> None:
    """Print the plan: its main values, every value with its reason, or its file as it is."""
    if view == "json":
        say_json(plan.to_bytes().decode().rstrip())
        return
    flat = _flat(plan.model_dump(mode="json", exclude={"reasons", "derived", "expectation", "format"}))
    if view == "explain":
        reasons = plan.told_reasons
        shown = [name for name in flat if name in reasons or (flat[name] != "None" and name.startswith(_SECTIONS))]
        rows = [[name, flat[name], reasons.get(name, _NO_REASON)] for name in shown]
        show_table(f"Plan of {plan.dataset}, preset {plan.preset}", ["setting", "value", "why"], rows)
        if not plan.derived:
            note("the plan is of an older version: reasons are those of the planner, also of values set by hand since")
    else:
        shown = [name for name in flat if name.startswith(("preprocessing.", "training.", "network.encoder"))]
        rows = [[name, flat[name]] for name in shown]
        show_table(f"Plan of {plan.dataset}, preset {plan.preset}", ["setting", "value"], rows)
        say("autodls plan --explain gives the reason for every value.")
    say(f"What this cohort can show: {plan.expectation.statement}")
    minutes = plan.budget.predicted_training_minutes
    how = f"by steps measured on {plan.budget.measured_on}" if plan.budget.measured_on else "by estimate"
    say(f"Automatic ROIs, optional (autodls segment fold all): {segmentation_time(plan, plan.training.folds)}.")
    say(f"Training on {plan.budget.device}: about {minutes:.0f} minutes, {how}. Next: autodls train fold all")


def _flat(content: dict[str, object], prefix: str = "") -> dict[str, str]:
    """Values by dotted name; the intensity schemes stay together."""
    flat: dict[str, str] = {}
    for name, value in content.items():
        dotted = f"{prefix}{name}"
        if isinstance(value, dict) and name != "intensity":
            flat |= _flat(value, f"{dotted}.")
        elif isinstance(value, dict):
            flat[dotted] = ", ".join(f"{sequence}: {scheme['scheme']}" for sequence, scheme in value.items())
        else:
            flat[dotted] = f"{value:g}" if isinstance(value, float) else str(value)
    return flat
