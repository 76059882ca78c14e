"""Folds together: scores on one scale, averaged as log-odds, recalibrated, called by the locked cut-off.

Averaging log-odds keeps the mean of each class where the single folds have it and narrows the spread around it, so a
cut-off between the classes that was chosen on single-fold scores keeps its place.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autodls.machine import usable_cores
from autodls.models.fold_model import FoldLogits, FoldModel
from autodls.records.scale import LogisticScale, Vector, sigmoid
from autodls.records.scores import FUSED

Matrix = NDArray[np.float64]
_MOST_AT_ONCE = 8  # networks in memory, 250 MB each


@dataclass(frozen=True)
class EnsembleScores:
    """Scores of cases, each [case].

    `dls` is the calibrated probability, `dls_raw` the mean softmax output, `spread` the standard deviation of the
    folds' calibrated probabilities; `by_sequence` is NaN where a case lacks the sequence.
    """

    dls: Vector
    dls_raw: Vector
    spread: Vector
    by_sequence: dict[str, Vector]

    def by_case(self) -> list["EnsembleScores"]:
        """The scores of every case on their own."""
        return [self._of(slice(row, row + 1)) for row in range(len(self.dls))]

    def _of(self, rows: slice) -> "EnsembleScores":
        by_sequence = {name: values[rows] for name, values in self.by_sequence.items()}
        return EnsembleScores(self.dls[rows], self.dls_raw[rows], self.spread[rows], by_sequence)


def score_ensemble(
    folds: Sequence[FoldModel], recalibration: LogisticScale, pixels: Tensor, present: Tensor
) -> EnsembleScores:
    """Score network input (see `FoldModel.logits`) by every fold and bring the folds together.

    Every case is computed on its own, every network on one core and several networks at once: a score depends neither
    on the other cases nor on the number of cores.
    """
    device = folds[0].fusion.position.device
    pixels, present = pixels.to(device), present.to(device)
    raw: dict[str, list[Vector]] = {}
    scaled: dict[str, list[Vector]] = {}
    for fold, logits in zip(folds, _logits(folds, pixels, present), strict=True):
        for row, values in {FUSED: logits.fused, **logits.by_sequence}.items():
            numbers = values.double().cpu().numpy()
            raw.setdefault(row, []).append(numbers)
            scaled.setdefault(row, []).append(fold.scales[row].log_odds(numbers))
    fused = np.stack(scaled[FUSED])
    return EnsembleScores(
        dls=recalibration.probability(fused.mean(axis=0)),
        dls_raw=sigmoid(np.stack(raw[FUSED])).mean(axis=0),
        spread=recalibration.probability(fused).std(axis=0),
        by_sequence={row: sigmoid(np.stack(folds_).mean(axis=0)) for row, folds_ in scaled.items() if row != FUSED},
    )


def _logits(folds: Sequence[FoldModel], pixels: Tensor, present: Tensor) -> list[FoldLogits]:
    with _one_core_each() as (pool, given_up):
        seen = [
            [pool.submit(fold.see, name, pixels[:, index], 1, given_up) for index, name in enumerate(fold.encoders)]
            for fold in folds
        ]
        return [
            fold.fuse([one.result() for one in encoders], present, batch_cases=1)
            for fold, encoders in zip(folds, seen, strict=True)
        ]


@contextmanager
def _one_core_each() -> Iterator[tuple[ThreadPoolExecutor, Event]]:
    """Threads in which PyTorch keeps to one core, and what tells them that a failure, or Ctrl-C, left the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # also of threads that are yet to start
    pool, given_up = ThreadPoolExecutor(min(usable_cores(), _MOST_AT_ONCE)), Event()
    try:
        yield pool, given_up
    finally:
        given_up.set()
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)
