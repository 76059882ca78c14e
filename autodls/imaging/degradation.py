"""An image as a worse scan would give it: motion, ghosts, bias field, noise, blur, thick slices; TorchIO's one door.

Every level is one stated degree, not the end of a range. What is left to chance (the direction of a movement, the signs
of a field, the noise) is drawn from the generator that is given: with one in the same state for every level, a higher
level is more of the same. TorchIO is imported inside functions.

References
----------
.. [1] Perez-Garcia, Sparks, Ourselin. TorchIO. Comput Methods Programs Biomed 2021;208:106236.
.. [2] Shaw, Sudre, Ourselin, Cardoso. MRI k-space motion artefact augmentation. MIDL 2019.
.. [3] Van Leemput, Maes, Vandermeulen, Suetens. Automated model-based bias field correction. IEEE TMI 1999;18:885-896.
.. [4] Cardoso, Modat, Vercauteren, Ourselin. Scale factor point spread function matching. MICCAI 2015.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from autodls.errors import ArgumentError
from autodls.imaging.geometry import Geometry, Triple, Volume, as_triple

Degradation = Literal["motion", "ghosting", "bias", "noise", "blur", "spacing"]
Floats = NDArray[np.float32]

_MOVEMENTS = 4
_GHOSTS = 4
_ORDER, _TERMS = 3, 20  # of a polynomial of three variables
_RANGE_PERCENTILES = (0.5, 99.5)
_FWHM = 2 * np.sqrt(2 * np.log(2))  # of a normal curve, in its SDs


@dataclass(frozen=True)
class Scale:
    """The levels of one kind, from barely visible to gross; at `nothing` the image stays as it is.

    `phrase` says a level in words, `axis` what levels are in.
    """

    word: str
    phrase: str
    axis: str
    levels: tuple[float, ...]
    meaning: str
    nothing: float = 0.0

    def said(self, level: float) -> str:
        """A level in words, as "5%"."""
        return self.phrase.format(f"{level:g}")


SCALES: Mapping[Degradation, Scale] = {
    "motion": Scale(
        "motion", "{0} mm, {0}°", "mm and degrees", (1.0, 2.0, 5.0, 10.0),
        f"{_MOVEMENTS} movements during the scan, each of so many mm and so many degrees in random directions; k-space "
        "is filled along the in-plane phase axis, its middle from the place of rest",
    ),
    "ghosting": Scale(
        "ghosting", "{0}", "intensity", (0.1, 0.25, 0.5, 1.0),
        f"{_GHOSTS} ghosts along the in-plane phase axis: every {_GHOSTS}th k-space line but the middle one loses this "
        "share of its signal",
    ),
    "bias": Scale(
        "bias field", "±{0}", "coefficients up to ±", (0.1, 0.2, 0.4, 0.8),
        f"factor exp(p), where p is a polynomial of order {_ORDER} without constant over the image, from -1 to 1 along "
        "each axis; coefficients are drawn evenly up to the level, of either sign",
    ),
    "noise": Scale(
        "noise", "{0}%", "SD, % of the range", (2.0, 5.0, 10.0, 20.0),
        "normal noise; its SD in % of the range of the image, which is taken between percentiles "
        f"{_RANGE_PERCENTILES[0]:g} and {_RANGE_PERCENTILES[1]:g}",
    ),
    "blur": Scale(
        "blur", "{0} mm", "SD, mm", (0.5, 1.0, 2.0, 4.0),
        "by a normal curve of this SD along all three axes",
    ),
    "spacing": Scale(
        "slice thickness", "{0}×", "times as thick", (1.5, 2.0, 3.0, 4.0),
        "slices thicker by this factor, their profile a normal curve, interpolated linearly back to the old ones",
        nothing=1.0,
    ),
}  # fmt: skip


def require_torchio() -> None:
    """Raise ArgumentError where the package of the extra is not installed."""
    if find_spec("torchio") is None:
        raise ArgumentError(
            "benchmark images: the Python package torchio is not installed; pip install -c constraints.txt '.[stress]'"
        )


def torchio_version() -> str:
    """The version that degrades."""
    return version("torchio")


def degraded(volume: Volume, kind: Degradation, level: float, rng: np.random.Generator) -> Volume:
    """`volume` on its own grid with so much of one kind of artefact, float32; itself where the level is nothing.

    The slice axis is that of the widest spacing (of equal ones the last), the phase axis the last of the others. `rng`
    is drawn from alike at every level. Raises ArgumentError for a level that is less than nothing or not finite.
    """
    scale = SCALES[kind]
    if not scale.nothing <= level < np.inf:
        raise ArgumentError(f"{scale.word} of {level:g}: must be {scale.nothing:g} or more")
    if level == scale.nothing:
        return volume
    axes = _axes(volume.geometry)
    turned = _Turned(
        volume.array.transpose(2, 1, 0).transpose(axes).astype(np.float32),
        as_triple(volume.geometry.spacing_mm[axis] for axis in axes),
    )
    array = _CHANGES[kind](turned, level, rng)
    return Volume(np.ascontiguousarray(array.transpose(np.argsort(axes)).transpose(2, 1, 0)), volume.geometry)


@dataclass(frozen=True)
class _Turned:
    """An array [read, slice, phase] and its spacing. Its middle is the origin: TorchIO turns images about that."""

    array: Floats
    spacing_mm: Triple

    def affine(self, shape: tuple[int, ...], spacing_mm: Triple) -> NDArray[np.float64]:
        """Of a grid with the same middle."""
        found: NDArray[np.float64] = np.diag([*spacing_mm, 1.0])
        found[:3, 3] = -(np.asarray(shape) - 1) / 2 * np.asarray(spacing_mm)
        return found

    def through(self, *transforms: Any) -> Floats:
        """The array after TorchIO's transforms."""
        import torch
        from torchio import ScalarImage

        data = torch.from_numpy(np.ascontiguousarray(self.array))[None]
        image = ScalarImage(tensor=data, affine=self.affine(self.array.shape, self.spacing_mm))
        for transform in transforms:
            image = transform(image)
        found: Floats = image.data[0].numpy().astype(np.float32, copy=False)
        return found


def _axes(grid: Geometry) -> tuple[int, int, int]:
    """Index axes (x, y, z) in the order read, slice, phase."""
    widest = max(range(3), key=lambda axis: (round(grid.spacing_mm[axis], 3), axis))
    read, phase = (axis for axis in range(3) if axis != widest)
    return read, widest, phase


def _motion(turned: _Turned, level: float, rng: np.random.Generator) -> Floats:
    from torchio import Motion

    step = 1 / (_MOVEMENTS + 1)
    times = step * (np.arange(1, _MOVEMENTS + 1) + rng.uniform(-0.3, 0.3, _MOVEMENTS))
    turns, moves = (_directions(rng) for _ in range(2))
    z, x, y = Rotation.from_rotvec(level * turns, degrees=True).as_euler("ZXY", degrees=True).T  # ITK's Euler angles
    return turned.through(Motion(np.stack([x, y, z], axis=1), level * moves, times, "linear"))


def _directions(rng: np.random.Generator) -> NDArray[np.float64]:
    """A unit vector for each movement, every direction alike."""
    vectors = rng.normal(size=(_MOVEMENTS, 3))
    found: NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return found


def _ghosting(turned: _Turned, level: float, _rng: np.random.Generator) -> Floats:
    from torchio import Ghosting

    return turned.through(Ghosting(_GHOSTS, 2, level, None))


def _bias(turned: _Turned, level: float, rng: np.random.Generator) -> Floats:
    from torchio import BiasField

    terms = rng.uniform(-1, 1, _TERMS - 1)
    return turned.through(BiasField([0.0, *(level * terms).tolist()], _ORDER))


def _noise(turned: _Turned, level: float, rng: np.random.Generator) -> Floats:
    from torchio import Noise

    low, high = np.percentile(turned.array, _RANGE_PERCENTILES)
    seed = int(rng.integers(2**31))
    return turned.through(Noise(0.0, level / 100 * float(high - low), seed))


def _blur(turned: _Turned, level: float, _rng: np.random.Generator) -> Floats:
    from torchio import Blur

    return turned.through(Blur((level, level, level)))


def _spacing(turned: _Turned, level: float, _rng: np.random.Generator) -> Floats:
    """Slices as many as cover the image, whose profile is the old one widened by the normal curve of [4]_."""
    from torchio import Blur, Resample

    read, slice_mm, phase = turned.spacing_mm
    shape, fine = turned.array.shape, turned.affine(turned.array.shape, turned.spacing_mm)
    thick = (shape[0], int(np.ceil(round(shape[1] / level, 9))), shape[2])
    coarse = turned.affine(thick, (read, level * slice_mm, phase))
    widened_mm = slice_mm * np.sqrt(level**2 - 1) / _FWHM
    linear = {"image_interpolation": "linear"}
    return turned.through(
        Blur((0.0, float(widened_mm), 0.0)), Resample((thick, coarse), **linear), Resample((shape, fine), **linear)
    )


_CHANGES: Mapping[Degradation, Callable[[_Turned, float, np.random.Generator], Floats]] = {
    "motion": _motion,
    "ghosting": _ghosting,
    "bias": _bias,
    "noise": _noise,
    "blur": _blur,
    "spacing": _spacing,
}
