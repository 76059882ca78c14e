"""A nomogram: the score of a locked candidate as points that a person adds up, from its record alone.

Every axis has its own share of the log-odds: 0 points where it is least in the training cohort's range, and 100 for the
whole of the widest axis. The sum of points is the log-odds, but for its zero and its unit (Iasonos et al. 2008 [1]_).

References
----------
.. [1] Iasonos, Schrag, Raj, Panageas. How to build and interpret a nomogram for cancer prognosis. J Clin Oncol
   2008;26:1364-1370.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from autodls.errors import ArgumentError
from autodls.records.clinical_column import UNKNOWN, ClinicalColumn
from autodls.records.locked_candidate import DEEP, CandidatePart, LockedCandidate

MOST_POINTS = 100.0
_LEAST_SHARE = 1e-9


@dataclass(frozen=True)
class PointsAxis:
    """Points of one covariate: of `levels`, or of numbers from `low` to `high`, on a straight line between its ends.

    The numbers of a part are its log-odds, which a reader knows as a probability (`is_probability`).
    """

    name: str
    low: float = 0.0
    high: float = 0.0
    points_low: float = 0.0
    points_high: float = 0.0
    levels: Mapping[str, float] = field(default_factory=dict)
    is_probability: bool = False

    def points(self, value: float | str) -> float:
        """Of a level, a number, or the log-odds of a part."""
        if isinstance(value, str):
            return self.levels[value]
        share = (value - self.low) / (self.high - self.low)
        return self.points_low + share * (self.points_high - self.points_low)


@dataclass(frozen=True)
class Nomogram:
    """Axes, and the log-odds of a sum of points: `base` + points / `points_a_unit`."""

    axes: tuple[PointsAxis, ...]
    base: float
    points_a_unit: float

    @property
    def most(self) -> float:
        """The greatest sum of points."""
        return sum(max((*axis.levels.values(), axis.points_low, axis.points_high)) for axis in self.axes)

    def probability(self, points: float) -> float:
        """Of the positive class, at a sum of `points`."""
        return float(1 / (1 + np.exp(-(self.base + points / self.points_a_unit))))

    def points_at(self, probability: float) -> float:
        """The sum of points that has this `probability`."""
        return float((np.log(probability / (1 - probability)) - self.base) * self.points_a_unit)


@dataclass(frozen=True)
class _Share:
    """Log-odds that an axis adds: of `levels`, or at the ends of a range; `rest` is what it adds anyway."""

    name: str
    rest: float
    ends: tuple[float, float] = (0.0, 0.0)
    values: tuple[float, float] = (0.0, 0.0)
    levels: Mapping[str, float] = field(default_factory=dict)
    is_probability: bool = False

    @property
    def least(self) -> float:
        return min(self.levels.values() or self.ends)

    @property
    def width(self) -> float:
        return max(self.levels.values() or self.ends) - self.least


def has_nomogram(record: LockedCandidate) -> bool:
    """Whether there is one to draw: of clinical columns, and of integrated candidates."""
    return (bool(record.columns) or bool(record.parts)) and not record.trees


def nomogram_of(record: LockedCandidate) -> Nomogram:
    """The nomogram of a clinical or an integrated candidate; raises ArgumentError for another one.

    Clinical columns stand there one by one, also inside an integrated candidate; radiomics and the networks as their
    probability. A missing number has no place on it.
    """
    if not has_nomogram(record):
        raise ArgumentError(
            f"candidate '{record.candidate}' has no nomogram: it is not made of clinical columns or parts"
        )
    slope = record.recalibration.slope
    shares = _of_parts(record, slope) if record.parts else _of_columns(record, slope)
    shown = [share for share in shares if share.width > _LEAST_SHARE]
    if not shown:
        raise ArgumentError(f"candidate '{record.candidate}' has no nomogram: all of its coefficients are 0")
    base = record.recalibration.intercept + slope * record.intercept + sum(share.rest for share in shares)
    base += sum(share.least for share in shares)
    unit = MOST_POINTS / max(share.width for share in shown)
    return Nomogram(tuple(_axis(share, unit) for share in shown), base, unit)


def _axis(share: _Share, unit: float) -> PointsAxis:
    low, high = ((end - share.least) * unit for end in share.ends)
    levels = {name: (value - share.least) * unit for name, value in share.levels.items()}
    if levels:
        return PointsAxis(share.name, levels=levels)
    return PointsAxis(share.name, *share.values, low, high, is_probability=share.is_probability)


def _of_parts(record: LockedCandidate, slope: float) -> list[_Share]:
    """The networks, then the others, each by its weight."""
    shares: list[_Share] = []
    parts = {part.candidate: part for part in record.parts}
    for at, name in enumerate(record.features):
        weight = slope * record.coefficients[at] / record.spread[at]
        part = parts.get(name)  # type: ignore[call-overload]
        if part is not None and part.columns:
            inside = _of_columns(part, weight)
            constant = weight * (part.intercept - record.middle[at])
            shares += [*inside, _Share("", constant)]
            continue
        ends = (record.lowest[at], record.highest[at])
        shown = tuple(weight * (end - record.middle[at]) for end in ends)
        label = "DLS of the networks" if name == DEEP else f"{name} score"
        shares.append(_Share(label, 0.0, (shown[0], shown[1]), ends, is_probability=True))
    return shares


def _of_columns(one: LockedCandidate | CandidatePart, weight: float) -> list[_Share]:
    terms = {
        name: (weight * coefficient / spread, middle)
        for name, coefficient, spread, middle in zip(
            one.features, one.coefficients, one.spread, one.middle, strict=True
        )
    }
    return [_of_column(column, terms) for column in one.columns]


def _of_column(column: ClinicalColumn, terms: Mapping[str, tuple[float, float]]) -> _Share:
    if column.levels:
        found = {level: terms[column.of_level(level)] for level in column.levels}
        rest = -sum(rise * middle for rise, middle in found.values())
        return _Share(column.name, rest, levels={level: rise for level, (rise, _) in found.items()})
    rise, middle = terms[column.name]
    absent = terms.get(column.of_missing, (0.0, 0.0))
    ends = (column.low or 0.0, column.high or 0.0)
    shown = (rise * (ends[0] - middle), rise * (ends[1] - middle))
    return _Share(column.name, -absent[0] * absent[1], shown, ends)


def shown_level(level: str) -> str:
    """A level as it is drawn."""
    return "missing" if level == UNKNOWN else level
