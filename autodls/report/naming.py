"""By which names cohorts, scores, sequences and classes are shown: their own, or the labels that a person has set.

Files for programs, that is metrics.json and the CSV of tables and figures, keep the names of the data.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from autodls.records.labels import Labels

_NONE = Labels()
_in_use: ContextVar[Labels] = ContextVar("labels", default=_NONE)


@contextmanager
def labelled(labels: Labels | None) -> Iterator[None]:
    """Whatever is drawn or printed inside shows `labels`; None changes nothing."""
    token = _in_use.set(_in_use.get() if labels is None else labels)
    try:
        yield
    finally:
        _in_use.reset(token)


def labels_in_use() -> Labels:
    """Those of the innermost `labelled`."""
    return _in_use.get()


def cohort_label(name: str) -> str:
    """What a cohort is called.

    >>> with labelled(Labels(cohorts={"external": "Hospital B"})):
    ...     cohort_label("external"), cohort_label("train")
    ('Hospital B', 'train')
    """
    return _in_use.get().cohorts.get(name, name)


def score_label(name: str) -> str:
    """What a score is called; that of a sequence is called as the sequence is, unless it has a label of its own."""
    return _in_use.get().scores.get(name, sequence_label(name))


def pair_label(cohort: str, score: str) -> str:
    """A score in a cohort, as notes begin with it."""
    return f"{cohort_label(cohort)}, {score_label(score)}"


def sequence_label(name: str) -> str:
    """What a sequence is called."""
    return _in_use.get().sequences.get(name, name)


def class_label(positive: bool, otherwise: str | None = None) -> str:
    """What a class is called; `otherwise`, or "positive" and "negative", where it has no label."""
    classes = _in_use.get().classes
    own = classes.positive if positive else classes.negative
    return own or otherwise or ("positive" if positive else "negative")


def endpoint_label(otherwise: str) -> str:
    """What is survived."""
    return _in_use.get().endpoint or otherwise


def unit_label(otherwise: str) -> str:
    """The unit of time."""
    return _in_use.get().survival_unit or otherwise
