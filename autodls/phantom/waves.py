"""Analytic fields over space: the same on every grid, cheap anywhere."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
PointArrays = tuple[Array, Array, Array]


@dataclass(frozen=True)
class Waves:
    """A field of mean 0 and standard deviation 1 over space.

    `vectors` [n, 3] in radians per unit of the points, `phases` [n] in radians.
    """

    vectors: NDArray[np.float64]
    phases: NDArray[np.float64]

    @classmethod
    def draw(cls, count: int, shortest: float, longest: float, chance: np.random.Generator) -> "Waves":
        """`count` waves in random directions, lengths even between `shortest` and `longest`."""
        directions = chance.standard_normal((count, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        lengths = chance.uniform(shortest, longest, size=(count, 1))
        return cls(2 * np.pi * directions / lengths, chance.uniform(0, 2 * np.pi, count))

    def at(self, points: PointArrays) -> Array:
        """Values at `points` (x, y, z), arrays of one shape."""
        total: Array = np.zeros(points[0].shape, np.float32)
        for (kx, ky, kz), phase in zip(self.vectors.astype(np.float32), self.phases.astype(np.float32), strict=True):
            total += np.cos(kx * points[0] + ky * points[1] + kz * points[2] + phase)
        total *= np.float32(np.sqrt(2 / len(self.phases)))
        return total


def soft_step(distance_mm: Array, width_mm: float) -> Array:
    """From 0 to 1 where `distance_mm` goes from minus to plus half of `width_mm`; as partial volume softens an edge.

    >>> soft_step(np.array([-2, 0, 0.25], np.float32), 1.0).tolist()
    [0.0, 0.5, 0.75]
    """
    share: Array = np.clip(distance_mm / np.float32(width_mm) + np.float32(0.5), 0, 1)
    return share
