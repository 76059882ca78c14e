"""Network input that a model is shown equal on: made-up cases with every pattern of missing sequences.

Nobody's images: what is written beside an export may be passed on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from autodls.models.pooling import input_channels
from autodls.records.network_shape import PLANE_COUNT
from autodls.records.plan import Plan

Pixels = NDArray[np.float32]
Present = NDArray[np.bool_]
_CELLS = 8  # of the coarse pattern, along a side
GOLDEN_PICTURES = 2


@dataclass(frozen=True)
class Rows:
    """Cases and what is missing of them.

    `pictures` float32 [picture, sequence, channel, H, W]; `picture` [row] says which is scored, `present` bool
    [row, sequence] which of its sequences are there: the others are zeros.
    """

    pictures: Pixels
    picture: NDArray[np.int64]
    present: Present

    @classmethod
    def of(cls, pictures: Pixels, has: Present) -> "Rows":
        """Every pattern of missing sequences of `pictures`, of which each `has` some, bool [picture, sequence]."""
        pairs = [(at, pattern) for at, there in enumerate(has) for pattern in patterns(there)]
        return cls(pictures, np.array([at for at, _ in pairs]), np.stack([pattern for _, pattern in pairs]))

    def __len__(self) -> int:
        return len(self.picture)

    def each(self) -> Iterator[tuple[Pixels, Present]]:
        """Network input of every row on its own, [1, sequence, channel, H, W] and [1, sequence]."""
        for at, present in zip(self.picture, self.present, strict=True):
            yield seen_of(self.pictures[at], present)[None], present[None]


def seen_of(pixels: Pixels, present: Present) -> Pixels:
    """Network input [sequence, channel, H, W] without the planes of sequences that are not there; an ROI stays."""
    shown = pixels.copy()
    shown[~present, :PLANE_COUNT] = 0
    return shown


def patterns(has: Sequence[bool] | Present) -> list[Present]:
    """Every choice of at least one sequence among those that a case `has`, all of them first.

    >>> [pattern.tolist() for pattern in patterns([True, False, True])]
    [[True, False, True], [True, False, False], [False, False, True]]
    """
    choices = product(*((True, False) if there else (False,) for there in has))
    return [np.array(choice) for choice in choices if any(choice)]


def golden_rows(plan: Plan) -> Rows:
    """The same made-up cases for the same plan: coarse and fine noise, a brighter ellipse, and the ROI of it."""
    size, sequences = plan.preprocessing.input_size_px, len(plan.sequences)
    channels = input_channels(roi_guided=plan.network.roi_guided)
    pictures = np.empty((GOLDEN_PICTURES, sequences, channels, size, size), dtype=np.float32)
    for number, picture in enumerate(pictures):
        chance = np.random.default_rng((20, number))
        roi = np.stack([_ellipse(size, chance) for _ in range(PLANE_COUNT)])
        picture[:, :PLANE_COUNT] = [_planes(roi, chance) for _ in range(sequences)]
        picture[:, PLANE_COUNT:] = roi[: channels - PLANE_COUNT]
    return Rows.of(pictures, np.ones((GOLDEN_PICTURES, sequences), dtype=bool))


def _ellipse(size: int, chance: np.random.Generator) -> Pixels:
    rows, columns = np.indices((size, size)) / size - 0.5
    tall, wide = chance.uniform(0.12, 0.3, 2)
    inside: Pixels = ((rows / tall) ** 2 + (columns / wide) ** 2 < 1).astype(np.float32)
    return inside


def _planes(roi: Pixels, chance: np.random.Generator) -> Pixels:
    """Planes [plane, H, W] of mean 0 and deviation 1, as those of z-scored images."""
    size, cell = roi.shape[-1], -(-roi.shape[-1] // _CELLS)
    coarse = chance.normal(size=(PLANE_COUNT, _CELLS, _CELLS)).repeat(cell, axis=1).repeat(cell, axis=2)
    planes = coarse[:, :size, :size] + chance.normal(scale=0.5, size=roi.shape) + chance.uniform(-1.5, 1.5) * roi
    normal: Pixels = ((planes - planes.mean()) / planes.std()).astype(np.float32)
    return normal
