"""A head without a file: tissue intensities at any physical coordinate.

Coordinates are those of the head: millimetres, +x left, +y back, +z up, origin in the middle of the oropharynx. The
head is painted structure over structure, each an ellipsoid with a soft edge, and the tumours last.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from autodls.phantom.settings import CT
from autodls.phantom.tumour import Tumour, draw_tumour
from autodls.phantom.waves import Array, PointArrays, Waves, soft_step

_TUBE_MM = math.inf
_EDGE_MM = 1.5
_CT_MOTTLE_HU = 5.0
_INTENSITY: dict[str, dict[str, float]] = {
    "skin": {"T1WI": 0.45, "T2WI": 0.35, "CE-T1WI": 0.46, "CT": 40.0},
    "fat": {"T1WI": 0.95, "T2WI": 0.75, "CE-T1WI": 0.18, "CT": -100.0},
    "muscle": {"T1WI": 0.42, "T2WI": 0.26, "CE-T1WI": 0.36, "CT": 60.0},
    "tongue": {"T1WI": 0.50, "T2WI": 0.36, "CE-T1WI": 0.42, "CT": 65.0},
    "gland": {"T1WI": 0.66, "T2WI": 0.45, "CE-T1WI": 0.46, "CT": 30.0},
    "mucosa": {"T1WI": 0.42, "T2WI": 0.55, "CE-T1WI": 0.50, "CT": 80.0},
    "cortex": {"T1WI": 0.08, "T2WI": 0.06, "CE-T1WI": 0.07, "CT": 1000.0},
    "marrow": {"T1WI": 0.75, "T2WI": 0.50, "CE-T1WI": 0.22, "CT": 250.0},
    "fluid": {"T1WI": 0.18, "T2WI": 1.00, "CE-T1WI": 0.16, "CT": 10.0},
    "cord": {"T1WI": 0.52, "T2WI": 0.48, "CE-T1WI": 0.42, "CT": 45.0},
    "artery": {"T1WI": 0.10, "T2WI": 0.06, "CE-T1WI": 0.66, "CT": 220.0},
    "vein": {"T1WI": 0.22, "T2WI": 0.14, "CE-T1WI": 0.70, "CT": 180.0},
    "air": {"T1WI": 0.01, "T2WI": 0.01, "CE-T1WI": 0.01, "CT": -1000.0},
}


Extents = list[tuple[Array, Array]]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Structure:
    """An ellipsoid of one tissue (a tube, if a semi-axis is infinite); with `in_front_of_mm`, its part at smaller y."""

    tissue: str
    centre_mm: tuple[float, float, float]
    semi_axes_mm: tuple[float, float, float]
    in_front_of_mm: float | None = None

    def cover(self, points: PointArrays) -> Array:
        """Share of each point's surroundings that the structure fills, 0..1, with an edge 1.5 mm wide."""
        radius: Array = np.zeros(points[0].shape, np.float32)
        for point, centre, semi_axis in zip(points, self.centre_mm, self.semi_axes_mm, strict=True):
            if semi_axis < math.inf:
                offset = (point - np.float32(centre)) * np.float32(1 / semi_axis)
                radius += np.square(offset, out=offset)
        inside_mm = (1 - np.sqrt(radius, out=radius)) * np.float32(min(self.semi_axes_mm))
        if self.in_front_of_mm is not None:
            inside_mm = np.minimum(inside_mm, np.float32(self.in_front_of_mm) - points[1])
        return soft_step(inside_mm, _EDGE_MM)

    def box(self, extents: Extents) -> Box:
        """The voxels outside which the structure has nothing to cover."""
        reach = [
            np.flatnonzero((low < centre + semi_axis + _EDGE_MM) & (high > centre - semi_axis - _EDGE_MM))
            for (low, high), centre, semi_axis in zip(extents, self.centre_mm, self.semi_axes_mm, strict=True)
        ]
        x, y, z = (slice(hit[0], hit[-1] + 1) if hit.size else slice(0) for hit in reach)
        return z, y, x


def _extents(points: PointArrays) -> Extents:
    """For x, y and z: lowest and highest coordinate in each plane of voxels across the array axis of that name."""
    across = ((0, 1), (0, 2), (1, 2))
    return [(point.min(axis=axes), point.max(axis=axes)) for point, axes in zip(points, across, strict=True)]


@dataclass(frozen=True)
class Anatomy:
    """One patient's head: structures in the order of painting, mottle of the soft tissue, and the tumour."""

    structures: tuple[Structure, ...]
    mottle: Waves
    tumour: Tumour
    second: Tumour | None = None

    @property
    def tumours(self) -> tuple[Tumour, ...]:
        """The tumour, and the second one where there is one."""
        return (self.tumour,) if self.second is None else (self.tumour, self.second)

    @property
    def compartment(self) -> Structure:
        """The space under skin and fat, where the tumour lies."""
        return max((part for part in self.structures if part.tissue == "muscle"), key=lambda part: part.semi_axes_mm[1])

    def intensity(self, points: PointArrays, sequence: str) -> Array:
        """Intensities of `sequence` at `points` (x, y, z in mm, arrays [z, y, x]); fat on T1WI is near 1, CT in HU.

        Normal structures first; then the tumour's mass effect, which leaves plain muscle around it; then the tumour.
        """
        tissue = {name: np.float32(values[sequence]) for name, values in _INTENSITY.items()}
        image: Array = np.full(points[0].shape, tissue["air"], np.float32)
        extents = _extents(points)
        for structure in self.structures:
            box = structure.box(extents)
            image[box] += structure.cover((points[0][box], points[1][box], points[2][box])) * (
                tissue[structure.tissue] - image[box]
            )
        near = [tumour.reaches(points) for tumour in self.tumours]
        here = [(points[0][part], points[1][part], points[2][part]) for part in near]
        depths = [tumour.depth_mm(place) for tumour, place in zip(self.tumours, here, strict=True)]
        for tumour, part, place, depth in zip(self.tumours, near, here, depths, strict=True):
            effaced = tumour.effacement(depth) * self.compartment.cover(place)
            image[part] += effaced * (tissue["muscle"] - image[part])
        mottle = self.mottle.at(points)
        if sequence == CT:
            image += np.float32(_CT_MOTTLE_HU) * mottle
        else:
            image *= 1 + np.float32(0.05) * mottle
        for tumour, part, place, depth in zip(self.tumours, near, here, depths, strict=True):
            image[part] += tumour.cover(depth) * (tumour.intensity(depth, place, sequence) - image[part])
        return image


def draw_anatomy(signs: Mapping[str, float], difficulty: float, chance: np.random.Generator) -> Anatomy:
    """A head of random build, with a tumour whose looks follow `signs`."""
    build = float(chance.normal(1.0, 0.03))
    structures = tuple(
        Structure(
            part.tissue,
            (build * part.centre_mm[0], build * part.centre_mm[1], build * part.centre_mm[2]),
            (build * part.semi_axes_mm[0], build * part.semi_axes_mm[1], build * part.semi_axes_mm[2]),
            part.in_front_of_mm,
        )
        for part in _head(float(chance.uniform(4, 9)), chance)
    )
    mottle = Waves.draw(6, shortest=18, longest=60, chance=chance)
    return Anatomy(structures, mottle, draw_tumour(signs, difficulty, chance))


def _head(fat_mm: float, chance: np.random.Generator) -> list[Structure]:
    """The parts of a head, outside in; paired parts vary a little on each side."""
    head = np.array([70.0, 86.0, 125.0])
    parts = [
        Structure("skin", (0, -86, 12), (11, 13, 22)),
        Structure("skin", (0, 0, 0), tuple(head)),
        Structure("fat", (0, 0, 0), tuple(head - 2)),
        Structure("muscle", (0, 0, 0), tuple(head - 2 - fat_mm)),
        Structure("fat", (0, 66, 0), (5, 14, _TUBE_MM)),
        Structure("cortex", (0, -18, -12), (50, 50, 24), in_front_of_mm=8),
        Structure("marrow", (0, -18, -12), (47.5, 47.5, 21.5), in_front_of_mm=5.5),
        Structure("cortex", (0, -18, -12), (42, 42, 60), in_front_of_mm=8),
        Structure("muscle", (0, -16, -12), (40, 40, 80), in_front_of_mm=12),
        Structure("fat", (0, -6, 6), (34, 22, 48)),
        Structure("muscle", (0, -4, 6), (31, 19, 45)),
        Structure("tongue", (0, -28, -6), (25, 28, 26)),
        Structure("mucosa", (0, 4, 0), (15, 9, _TUBE_MM)),
        Structure("air", (0, 3, 0), (float(chance.uniform(8, 13)), float(chance.uniform(4, 7)), _TUBE_MM)),
        Structure("cortex", (0, 32, 0), (17, 13, _TUBE_MM)),
        Structure("marrow", (0, 32, 0), (15, 11, _TUBE_MM)),
        Structure("cortex", (0, 52, 0), (13, 11, _TUBE_MM)),
        Structure("fluid", (0, 52, 0), (10.5, 8.5, _TUBE_MM)),
        Structure("cord", (0, 52, 0), (6.5, 5, _TUBE_MM)),
    ]
    return parts + [part for side in (-1, 1) for part in _paired(side, chance)]


def _paired(side: int, chance: np.random.Generator) -> list[Structure]:
    """Parts of one side: cheek fat, parotid gland, sinus, vessels."""
    dx, dy = chance.uniform(-2, 2, 2)
    return [
        Structure("fat", (side * 47 + dx, -38 + dy, 8), (7, 13, 18)),
        Structure("gland", (side * 52 + dx, 14 + dy, 4), (9, 17, 26)),
        Structure("cortex", (side * 24 + dx, -46 + dy, 44), (16, 18, 20)),
        Structure("air", (side * 24 + dx, -46 + dy, 44), (14, 16, 18)),
        Structure("artery", (side * 27 + dx, 20 + dy, 0), (3.2, 3.2, _TUBE_MM)),
        Structure("vein", (side * 34 + dx, 27 + dy, 0), (5, 4, _TUBE_MM)),
    ]
