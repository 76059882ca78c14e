"""`import`, as a person sees it: rows and case ids are printed, never what a header says."""

import json
from collections import Counter
from dataclasses import asdict

from autodls.cli.console import note, say, say_json, show_table
from autodls.limits import MOST_SHOWN
from autodls.records.words import plural
from autodls.stages.dicom_places import Imported
from autodls.stages.import_dicom import table_rows

_MOST_REASONS = 10
_SHOWN = ("row", "case", "role", "modality", "plane", "planes", "why", "ambiguous")


def show_import(done: Imported, *, as_json: bool) -> None:
    """Say what was found or made, and what is to be done next."""
    if as_json:
        say_json(json.dumps(asdict(done), default=str, indent=1))
    elif done.step == "listed":
        _show_listed(done)
    else:
        _show_converted(done)


def _show_listed(done: Imported) -> None:
    every = table_rows(done.table)
    if rows := [row for row in every if row["role"] or row["ambiguous"]]:
        show_table("Series", list(_SHOWN), [[row[name] for name in _SHOWN] for row in rows[:MOST_SHOWN]])
    say(
        f"{plural(done.patients, 'patient')}, {done.series} series and {plural(done.rois, 'ROI')}: with a role "
        f"{done.proposed}, not convertible {done.refused}; files not used {done.unused} (unused.csv)"
    )
    refused = Counter(row["convertible"] for row in every if row["convertible"] != "yes")
    for why, count in refused.most_common(_MOST_REASONS):
        say(f"cannot be converted: {count} x {why}")
    say(
        f"Ambiguous rows: {done.ambiguous}. Nothing is converted yet: look at {done.table} (columns case and role "
        "are yours to change), then give the same command again"
    )


def _show_converted(done: Imported) -> None:
    for line in done.notes:
        note(f"warning: {line}")
    made = f"{plural(done.cases, 'case')}, {plural(done.images, 'image')} and {plural(done.masks, 'ROI')}"
    say(f"{made} in {done.dataset}")
    for line in done.missing:
        say(f"still missing: {line}")
    say(f"Next: autodls check -d {done.dataset}. {done.table.parent} names patients: keep it away from the dataset")
