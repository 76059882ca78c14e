"""What a runtime gives beside what AutoDLS gives: how far apart, or refused."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from autodls.errors import AutoDLSError
from autodls.exporting.golden import Rows
from autodls.inference.model_folder import LockedModel
from autodls.records.scale import Vector

LOG_ODDS_WITHIN = 1e-4
PROBABILITY_WITHIN = 1e-4
_FARTHEST = 30.0  # log-odds: beyond them a probability differs from 0 or 1 by 1e-13, and its log-odds are rounding


@dataclass(frozen=True)
class Scores:
    """Log-odds of the DLS and the call, each [row]; all other outputs by name, probabilities, NaN where missing."""

    log_odds: Vector
    high: NDArray[np.bool_]
    probabilities: Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Difference:
    """The largest of each kind, and how many rows lie so near the cut-off that they may be called either way."""

    log_odds: float
    probability: float
    in_band: int


def scores_of(model: LockedModel, rows: Rows) -> Scores:
    """The scores of `model` itself, of one row after the other."""
    pairs = ((torch.from_numpy(pixels), torch.from_numpy(present)) for pixels, present in rows.each())
    found = [model.score(*pair) for pair in pairs]
    dls = np.concatenate([one.dls for one in found])
    names = model.plan.sequences
    by_sequence = np.array([[one.by_sequence[name][0] for name in names] for one in found])
    probabilities = {
        "dls": dls,
        "dls_raw": np.concatenate([one.dls_raw for one in found]),
        "spread": np.concatenate([one.spread for one in found]),
        "by_sequence": np.where(rows.present, by_sequence, np.nan),
    }
    return Scores(log_odds_of(dls), dls >= model.record.cutoff, probabilities)


def log_odds_of(probability: NDArray[np.float64]) -> Vector:
    """Log-odds of a probability, at most 30 from 0."""
    with np.errstate(divide="ignore"):
        odds: Vector = np.log(probability) - np.log1p(-probability)
    return np.clip(odds, -_FARTHEST, _FARTHEST)


def require_equal(found: Scores, expected: Scores, cutoff: float, runtime: str) -> Difference:
    """How far `found`, by `runtime`, is from what was `expected`; raises AutoDLSError where that is too far.

    What a runtime does not give, such as the spread of a bundle's network, is not compared.
    """
    apart = np.abs(np.clip(found.log_odds, -_FARTHEST, _FARTHEST) - expected.log_odds)
    near = np.abs(expected.log_odds - log_odds_of(np.array(cutoff))) <= LOG_ODDS_WITHIN
    difference = Difference(_largest(apart), max(_apart(found, expected, name) for name in found.probabilities), 0)
    for name, value, within in (
        ("log-odds", difference.log_odds, LOG_ODDS_WITHIN),
        ("a probability", difference.probability, PROBABILITY_WITHIN),
    ):
        if not value <= within:
            raise AutoDLSError(
                f"{runtime} gives other scores than AutoDLS: {name} differ by {value:.2g}, at most {within:g} is "
                "allowed; nothing was written, please report it with the model's plan.json"
            )
    if odd := np.flatnonzero((found.high != expected.high) & ~near).tolist():
        raise AutoDLSError(
            f"{runtime} calls {len(odd)} cases otherwise than AutoDLS; nothing was written, please report it"
        )
    return Difference(difference.log_odds, difference.probability, int(near.sum()))


def _apart(found: Scores, expected: Scores, name: str) -> float:
    here, there = found.probabilities[name], expected.probabilities[name]
    if not np.array_equal(np.isnan(here), np.isnan(there)):
        return np.inf
    return _largest(np.abs(here - there)[~np.isnan(there)])


def _largest(values: NDArray[np.float64]) -> float:
    return float(np.max(values, initial=0.0))
