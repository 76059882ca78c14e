"""What the patients survive, by its own name: as dataset.json says it, or as the columns of the follow-up do."""

import re

from autodls.records.dataset import SurvivalColumns

_KNOWN = {
    "os": "Overall survival",
    "pfs": "Progression-free survival",
    "dfs": "Disease-free survival",
    "rfs": "Recurrence-free survival",
    "efs": "Event-free survival",
    "mfs": "Metastasis-free survival",
    "dmfs": "Distant metastasis-free survival",
    "lrfs": "Local recurrence-free survival",
    "css": "Cancer-specific survival",
    "dss": "Disease-specific survival",
    "ffs": "Failure-free survival",
    "bcr": "Freedom from biochemical recurrence",
}
_NO_NAME = frozenset(
    {"time", "times", "event", "events", "status", "censor", "censored", "followup", "follow", "up", "fu", "survival"}
)
_UNITS = ("days", "weeks", "months", "years")
_UNIT_WORDS = frozenset({*_UNITS, *(unit[:-1] for unit in _UNITS), "d", "w", "m", "mo", "y"})


def endpoint_name(columns: SurvivalColumns) -> str:
    """The name of the end point.

    >>> endpoint_name(SurvivalColumns(time="pfs_months", event="pfs_event", unit="months"))
    'Progression-free survival'
    >>> endpoint_name(SurvivalColumns(time="relapse_days", event="relapse", unit="days"))
    'Free of relapse'
    """
    if columns.name:
        return columns.name
    words = [word for text in (columns.event, columns.time) for word in re.split(r"[^a-z]+", text.lower()) if word]
    known = [_KNOWN[word] for word in words if word in _KNOWN]
    if known:
        return known[0]
    own = [word for word in words if word not in _NO_NAME and word not in _UNIT_WORDS]
    if not own or own[0] in {"death", "dead", "died"}:
        return "Overall survival" if own else "Survival"
    return f"Free of {own[0]}"
