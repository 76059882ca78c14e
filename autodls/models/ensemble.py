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
from autodls.models.device import memory_of
from autodls.models.lesions import mean_by_case
from autodls.models.network import FoldLogits, FoldModel
from autodls.records.scale import LogisticScale, Vector, sigmoid
from autodls.records.scores import FUSED

Matrix = NDArray[np.float64]
_MOST_AT_ONCE = 8  # networks in memory, 250 MB each
_BATCH_CASES = 32  # on a GPU


@dataclass(frozen=True)
class EnsembleScores:
    """Scores of cases, each [case].

    `dls` is the calibrated probability, `dls_raw` the mean softmax output, `spread` the standard deviation of the
    folds' calibrated probabilities; `by_sequence` is NaN where a case lacks the sequence. `of_lesions` are the `dls` of
    each lesion, case after case, of so many as `lesions` [case] says; None where each case has one.
    """

    dls: Vector
    dls_raw: Vector
    spread: Vector
    by_sequence: dict[str, Vector]
    of_lesions: Vector | None = None
    lesions: tuple[int, ...] = ()

    def by_case(self) -> list["EnsembleScores"]:
        """The scores of every case on their own."""
        return [self._of(slice(row, row + 1)) for row in range(len(self.dls))]

    def _of(self, rows: slice) -> "EnsembleScores":
        by_sequence = {name: values[rows] for name, values in self.by_sequence.items()}
        parts = (self.dls[rows], self.dls_raw[rows], self.spread[rows], by_sequence)
        if self.of_lesions is None:
            return EnsembleScores(*parts)
        first = sum(self.lesions[: rows.start])
        count = self.lesions[rows.start]
        return EnsembleScores(*parts, self.of_lesions[first : first + count], (count,))


def score_ensemble(
    folds: Sequence[FoldModel],
    recalibration: LogisticScale,
    pixels: Tensor,
    present: Tensor,
    of_mean: LogisticScale | None = None,
    lesions: Sequence[int] = (),
) -> EnsembleScores:
    """Score network input (see `FoldModel.logits`) by every fold and bring the folds together.

    `recalibration` is that of the score of one fold, `of_mean` that of their mean: the same when None. Where the rows
    of `pixels` are `lesions`, so many of each case, the score of a case is the mean of their log-odds.

    On a CPU every case is computed on its own, every network on one core and several networks at once: a score depends
    neither on the other cases nor on the number of cores. On a GPU cases go in batches of one size (`batched_logits`),
    so that there too a score does not depend on the other cases; its last digits are not those of a CPU. Raises
    AutoDLSError where the memory of the GPU is not enough.
    """
    device = folds[0].fusion.position.device
    compute = _logits if device.type == "cpu" else batched_logits
    with memory_of(device):
        logits = _read(compute(folds, pixels.to(device), present.to(device)))
    several = any(count > 1 for count in lesions)
    recalibrated = of_mean or recalibration
    of_lesions = recalibrated.probability(_scaled(folds, logits, FUSED).mean(axis=0)) if lesions else None
    logits = [_pooled(rows, lesions) for rows in logits] if several else logits
    scaled = {score: _scaled(folds, logits, score) for score in logits[0]}
    fused = scaled[FUSED]
    return EnsembleScores(
        dls=recalibrated.probability(fused.mean(axis=0)),
        dls_raw=sigmoid(np.stack([rows[FUSED] for rows in logits])).mean(axis=0),
        spread=recalibration.probability(fused).std(axis=0),
        by_sequence={name: sigmoid(values.mean(axis=0)) for name, values in scaled.items() if name != FUSED},
        of_lesions=of_lesions,
        lesions=tuple(lesions),
    )


def _scaled(folds: Sequence[FoldModel], logits: Sequence[dict[str, Vector]], score: str) -> Matrix:
    """The log-odds of one score on the common scale, [fold, row]."""
    return np.stack([fold.scale_of(score).log_odds(rows[score]) for fold, rows in zip(folds, logits, strict=True)])


def _pooled(rows: dict[str, Vector], lesions: Sequence[int]) -> dict[str, Vector]:
    """The logits of cases, of those of their lesions."""
    case_of = torch.repeat_interleave(torch.arange(len(lesions)), torch.tensor(lesions))
    return {
        score: mean_by_case(torch.from_numpy(values), case_of, len(lesions)).numpy() for score, values in rows.items()
    }


def batched_logits(
    folds: Sequence[FoldModel], pixels: Tensor, present: Tensor, batch_cases: int = _BATCH_CASES
) -> list[FoldLogits]:
    """Logits of every fold, of batches of `batch_cases`, the last of which is filled up with blank cases.

    A GPU chooses its kernels, and so the order of its sums, by the size of a batch: with one size, a case scores the
    same in any company. Nothing here waits for the device: all networks of all batches are handed to it in one go.
    """
    cases = len(pixels)
    pixels, present = filled_up(pixels, batch_cases), filled_up(present, batch_cases)
    found = [fold.logits(pixels, present, batch_cases) for fold in folds]
    return [
        FoldLogits(one.fused[:cases], {name: values[:cases] for name, values in one.by_sequence.items()})
        for one in found
    ]


def filled_up(values: Tensor, multiple: int) -> Tensor:
    """`values` [case, ...] with as many cases of zeros behind them as make up a multiple.

    >>> filled_up(torch.ones(5, 2), 4).shape
    torch.Size([8, 2])
    """
    lacking = -len(values) % multiple
    return torch.cat([values, values.new_zeros(lacking, *values.shape[1:])])


def _read(found: Sequence[FoldLogits]) -> list[dict[str, Vector]]:
    """The logits of every fold by score, in one transfer: it waits until the device has computed all of them."""
    by_score = [{FUSED: one.fused, **one.by_sequence} for one in found]
    numbers = iter(torch.stack([values for rows in by_score for values in rows.values()]).double().cpu().numpy())
    return [{score: next(numbers) for score in rows} for rows in by_score]


def _logits(folds: Sequence[FoldModel], pixels: Tensor, present: Tensor) -> list[FoldLogits]:
    with _one_core_each() as (pool, given_up):
        seen = [
            [
                pool.submit(fold.encode_planes, name, pixels[:, index], 1, given_up)
                for index, name in enumerate(fold.encoders)
            ]
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
