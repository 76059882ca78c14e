"""Which rows of a cohort a number is made from: score by score, pair by pair, one record a patient in survival."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from autodls.evaluation.arrays import Bools, Floats
from autodls.evaluation.clusters import is_clustered
from autodls.evaluation.cohort_table import CohortTable
from autodls.evaluation.tied_times import tied


def judged_by(cohort: CohortTable, *names: str) -> CohortTable:
    """The rows that have a label and all scores `names`, with those scores that the cohort has at all."""
    held = _having(cohort, names)
    if cohort.labelled is not None:
        held &= cohort.labelled
    return CohortTable(
        n=int(held.sum()),
        scores={name: cohort.scores[name][held] for name in names if name in cohort.scores},
        labels=None if cohort.labels is None else cohort.labels[held],
        patients=None if cohort.patients is None else tuple(np.array(cohort.patients, dtype=object)[held]),
        out_of_fold=cohort.out_of_fold,
    )


def judged_rows(cohort: CohortTable) -> Bools:
    """Which rows (n,) have a label and any score; without labels in the cohort, which have any score.

    In a cohort without scores every row counts as having one.
    """
    scored = np.full(cohort.n, not cohort.scores)
    for values in cohort.scores.values():
        scored |= ~np.isnan(values)
    return scored if cohort.labels is None or cohort.labelled is None else scored & cohort.labelled


def followed_by(cohort: CohortTable, name: str) -> CohortTable:
    """The rows that have follow-up and, where the cohort has it, the score `name`: one record a patient.

    The record of a patient with several rows is the mean of its scores, which no order of the rows changes. A patient
    whose rows contradict each other in time or event is left out; see `contradictions`.
    """
    rows = _followed_rows(cohort, name)
    if rows.patients is None or not is_clustered(rows.patients):
        return rows
    refused = contradictions(cohort, name)
    names, first, member = np.unique(np.array(rows.patients), return_index=True, return_inverse=True)
    kept = sorted((at, place) for place, at in enumerate(first) if str(names[place]) not in refused)
    places = np.array([place for _, place in kept], dtype=int)
    starts = first[places]
    return CohortTable(
        n=len(places),
        scores={held: _means(values, member, first)[places] for held, values in rows.scores.items()},
        times=None if rows.times is None else rows.times[starts],
        events=None if rows.events is None else rows.events[starts],
        patients=tuple(str(names[place]) for place in places),
    )


def _means(values: Floats, member: NDArray[np.intp], first: NDArray[np.intp]) -> Floats:
    """The mean of each patient's `values` (n,); equal values have it exactly, so that a call at a cut-off stays."""
    base = values[first]
    return np.asarray(base + np.bincount(member, values - base[member]) / np.bincount(member))


def contradictions(cohort: CohortTable, name: str) -> Mapping[str, str]:
    """Patients whose rows differ in time or event, with what they say; times that differ by round-off do not."""
    rows = _followed_rows(cohort, name)
    if rows.patients is None or rows.times is None or rows.events is None or not is_clustered(rows.patients):
        return {}
    said: dict[str, list[tuple[float, bool]]] = {}
    for patient, time, event in zip(rows.patients, tied(rows.times).tolist(), rows.events.tolist(), strict=True):
        if (time, event) not in said.setdefault(patient, []):
            said[patient].append((time, event))
    return {
        patient: " and ".join(f"time {time:g} {'with' if event else 'without'} event" for time, event in found)
        for patient, found in said.items()
        if len(found) > 1
    }


def _followed_rows(cohort: CohortTable, name: str) -> CohortTable:
    held = _having(cohort, (name,) if name in cohort.scores else ())
    if cohort.followed is not None:
        held &= cohort.followed
    return CohortTable(
        n=int(held.sum()),
        scores={name: cohort.scores[name][held]} if name in cohort.scores else {},
        times=None if cohort.times is None else cohort.times[held],
        events=None if cohort.events is None else cohort.events[held],
        patients=None if cohort.patients is None else tuple(np.array(cohort.patients, dtype=object)[held]),
    )


def _having(cohort: CohortTable, names: tuple[str, ...]) -> Bools:
    held = np.ones(cohort.n, dtype=bool)
    for name in names:
        held &= ~np.isnan(cohort.scores[name]) if name in cohort.scores else False
    return held
