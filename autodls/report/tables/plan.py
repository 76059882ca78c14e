"""The plan and the check of a dataset as lines of text, for tables that people read."""

from autodls.planning.check import CheckReport
from autodls.records.plan import Plan

_SECTIONS = ("preprocessing.", "network.", "training.", "segmentation.", "budget.")
_MAIN = ("preprocessing.", "training.", "network.encoder")
_NO_REASON = "None is recorded: the plan is older than this setting."


def plan_rows(plan: Plan, *, reasons: bool) -> list[list[str]]:
    """Its main values by dotted name, or every value with its reason."""
    flat = _flat(plan.model_dump(mode="json", exclude={"reasons", "derived", "expectation", "format"}))
    if not reasons:
        return [[name, value] for name, value in flat.items() if name.startswith(_MAIN)]
    told = plan.told_reasons
    shown = [name for name in flat if name in told or (flat[name] != "None" and name.startswith(_SECTIONS))]
    return [[name, flat[name], told.get(name, _NO_REASON)] for name in shown]


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


CHECK_HEADER = ["cohort", "cases", "patients", "positive", "negative", "no label", "missing sequences"]


def check_rows(report: CheckReport) -> list[list[str]]:
    """How many cases of which kind each cohort has, and which sequences are missing how often."""
    return [
        [
            name,
            *(str(n) for n in (count.cases, count.patients, count.positives, count.negatives, count.unlabelled)),
            ", ".join(f"{sequence} {n}" for sequence, n in count.missing.items() if n) or "none",
        ]
        for name, count in report.cohorts.items()
    ]
