"""Tumours whose rim, texture and brightness show the hidden expression.

CE-T1WI: strength and thickness of the enhancing rim. T2WI: contrast and scale of the texture. T1WI: brightness, weakly.
All follow a sign through a logistic curve, so they stay plausible for any sign.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from autodls.errors import ArgumentError
from autodls.phantom.settings import CT, CT_SHOWS
from autodls.phantom.waves import Array, PointArrays, Waves, soft_step

_DIAMETER_MM = (15.0, 36.0)
_EDGE_MM = 1.0
_APART_MM, _MOST_TRIES = 5.0, 1000
_CT_CORE_HU, _CT_ENHANCED_HU = 65.0, 160.0  # the latter for a contrast of 1, that of CE-T1WI's scale
_CORE = {"T1WI": 0.40, "T2WI": 0.62, "CE-T1WI": 0.38}


@dataclass(frozen=True)
class Tumour:
    """A sphere, stretched and modulated by smooth waves over its surface, in the frame of the head (mm)."""

    centre_mm: tuple[float, float, float]
    radius_mm: float
    stretch: tuple[float, float, float]
    shape: Waves
    roughness: float
    effaced_mm: float
    core: Mapping[str, float]
    rim_contrast: float
    rim_thickness_mm: float
    texture_contrast: float
    texture: Waves
    mottle: Waves

    @property
    def reach_mm(self) -> float:
        """No part of the tumour lies farther from its centre."""
        return max(self.stretch) * (1 + 2 * self.roughness) * self.radius_mm + _EDGE_MM

    def depth_mm(self, points: PointArrays) -> Array:
        """Depth under the surface (negative outside), along the ray from the centre; points [any shape] in mm."""
        x, y, z = (
            (point - np.float32(centre)) / np.float32(stretch)
            for point, centre, stretch in zip(points, self.centre_mm, self.stretch, strict=True)
        )
        distance = np.sqrt(x * x + y * y + z * z) + np.float32(1e-3)
        bumps = np.clip(self.shape.at((x / distance, y / distance, z / distance)), -2, 2)
        depth: Array = np.float32(self.radius_mm) * (1 + np.float32(self.roughness) * bumps) - distance
        return depth

    def reaches(self, points: PointArrays) -> NDArray[np.bool_]:
        """PointArrays that may lie in the tumour or in the tissue that it has effaced."""
        x, y, z = (point - np.float32(centre) for point, centre in zip(points, self.centre_mm, strict=True))
        return np.asarray(x * x + y * y + z * z < (self.reach_mm + max(self.stretch) * self.effaced_mm) ** 2)

    def cover(self, depth: Array) -> Array:
        """Share of tumour at `depth` (mm under its surface)."""
        return soft_step(depth, _EDGE_MM)

    def effacement(self, depth: Array) -> Array:
        """Share of normal structure that mass effect has effaced: all near the tumour, none beyond `effaced_mm`."""
        return soft_step(depth + np.float32(0.75 * self.effaced_mm), 0.5 * self.effaced_mm + _EDGE_MM)

    def intensity(self, depth: Array, points: PointArrays, sequence: str) -> Array:
        """Intensities of the tumour at `points`, which lie `depth` mm under its surface."""
        uneven = self.mottle.at(points)
        if sequence == CT:
            return self._hounsfield(depth, uneven)
        base: Array = np.float32(self.core[sequence]) * (1 + np.float32(0.05) * uneven)
        if sequence == "CE-T1WI":
            rim = soft_step(np.float32(self.rim_thickness_mm) - depth, _EDGE_MM)
            base += np.float32(self.rim_contrast) * rim * (1 + np.float32(0.15) * uneven)
        if sequence == "T2WI":
            base += np.float32(self.texture_contrast) * self.texture.at(points)
        return base

    def _hounsfield(self, depth: Array, uneven: Array) -> Array:
        """The same in HU of an enhanced CT: a rim as on CE-T1WI, around a core of about muscle."""
        rim = soft_step(np.float32(self.rim_thickness_mm) - depth, _EDGE_MM)
        base: Array = np.float32(_CT_CORE_HU * self.core[CT_SHOWS] / _CORE[CT_SHOWS]) + np.float32(5) * uneven
        return base + np.float32(_CT_ENHANCED_HU * self.rim_contrast) * rim


def draw_second(first: Tumour, signs: Mapping[str, float], difficulty: float, chance: np.random.Generator) -> Tumour:
    """A second tumour on the other side, that no part of `first` comes nearer to than 5 mm.

    Raises ArgumentError where chance finds no such place.
    """
    for _ in range(_MOST_TRIES):
        drawn = draw_tumour(signs, difficulty, chance)
        x, y, z = drawn.centre_mm
        second = replace(drawn, centre_mm=(math.copysign(x, -first.centre_mm[0]), y, z))
        if math.dist(first.centre_mm, second.centre_mm) > first.reach_mm + second.reach_mm + _APART_MM:
            return second
    raise ArgumentError(f"no place for a second tumour beside one of {2 * first.radius_mm:.0f} mm; take another seed")


def draw_tumour(signs: Mapping[str, float], difficulty: float, chance: np.random.Generator) -> Tumour:
    """A tumour beside the airway whose looks follow `signs`; `difficulty` weakens them and varies its brightness."""
    show = {name: float(expit(3 * (sign - 0.2))) for name, sign in signs.items()}
    effect = 1 - 0.6 * difficulty
    brightness = 0.05 + 0.10 * difficulty
    side = chance.choice([-1.0, 1.0])
    stretch = np.exp(chance.uniform(-0.2, 0.2, 3))
    core = {name: base * math.exp(brightness * chance.standard_normal()) for name, base in _CORE.items()}
    core["T1WI"] += 0.08 * effect * (show["T1WI"] - 0.5)
    scale_mm = 11.0 - 4.0 * effect * show["T2WI"]
    return Tumour(
        centre_mm=(side * chance.uniform(10, 32), chance.uniform(-32, 12), chance.uniform(-16, 16)),
        radius_mm=(_DIAMETER_MM[0] + (_DIAMETER_MM[1] - _DIAMETER_MM[0]) * chance.beta(2, 2)) / 2,
        stretch=tuple(stretch / stretch.prod() ** (1 / 3)),
        shape=Waves.draw(6, shortest=1.8, longest=5.0, chance=chance),
        roughness=chance.uniform(0.05, 0.14),
        effaced_mm=14.0 * (1 - difficulty),
        core=core,
        rim_contrast=0.55 * effect * show["CE-T1WI"],
        rim_thickness_mm=1.5 + 3.0 * effect * show["CE-T1WI"],
        texture_contrast=0.02 + 0.24 * effect * show["T2WI"],
        texture=Waves.draw(16, shortest=0.7 * scale_mm, longest=1.6 * scale_mm, chance=chance),
        mottle=Waves.draw(5, shortest=15, longest=40, chance=chance),
    )
