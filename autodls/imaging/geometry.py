"""Where the voxels of a volume lie in the patient. NumPy only.

Physical points are in mm in the LPS frame of DICOM and SimpleITK: x grows to the patient's left, y to posterior, z to
superior. Voxel indices are continuous and in the order x, y, z, while arrays are in the order z, y, x; index 0 is the
centre of the first voxel.
"""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autodls.errors import ArgumentError

Points = NDArray[np.float64]
Triple = tuple[float, float, float]

SAME_GRID_VOXELS = 0.05
_ROI_TIE = 1e-6  # rounding must not decide what is half way between two voxels
_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Geometry:
    """A regular grid of voxels in LPS millimetres.

    `direction` is the 3 x 3 matrix of direction cosines in row-major order, as in SimpleITK: column i is the unit
    vector along which index i grows.

    >>> grid = Geometry((40, 48, 12), (1.0, 1.0, 5.0), (-20.0, -24.0, 0.0))
    >>> grid.index_to_physical([[0, 0, 2]]).tolist()
    [[-20.0, -24.0, 10.0]]
    """

    size_xyz: tuple[int, int, int]
    spacing_mm: Triple
    origin_mm: Triple = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = _IDENTITY

    def __post_init__(self) -> None:
        """Refuse a grid without voxels, place, spacing or three axes."""
        if min(self.size_xyz) < 1:
            raise ArgumentError(f"grid of {self.size_xyz} voxels: every size must be at least 1")
        if not np.isfinite([*self.spacing_mm, *self.origin_mm, *self.direction]).all():
            raise ArgumentError(f"grid at {self.origin_mm} mm with spacing {self.spacing_mm} mm: must be finite")
        if min(self.spacing_mm) <= 0:
            raise ArgumentError(f"voxel spacing {self.spacing_mm} mm: every spacing must be positive")
        if len(self.direction) != 9 or abs(np.linalg.det(self.cosines)) < 1e-6:
            raise ArgumentError(f"direction {self.direction}: must be nine cosines of three independent axes")

    @property
    def cosines(self) -> NDArray[np.float64]:
        """Direction cosines [3, 3]: column i is the axis of index i."""
        return np.asarray(self.direction, dtype=np.float64).reshape(3, 3)

    @property
    def affine(self) -> NDArray[np.float64]:
        """Homogeneous matrix [4, 4] from index (x, y, z) to LPS mm."""
        affine: NDArray[np.float64] = np.eye(4)
        affine[:3, :3] = self.cosines * np.asarray(self.spacing_mm)
        affine[:3, 3] = self.origin_mm
        return affine

    def index_to_physical(self, index_xyz: ArrayLike) -> Points:
        """LPS mm of continuous indices [..., 3]."""
        return transform_points(self.affine, index_xyz)

    def physical_to_index(self, points_mm: ArrayLike) -> Points:
        """Continuous indices (x, y, z) of LPS points [..., 3]."""
        inverse: NDArray[np.float64] = np.linalg.inv(self.affine).astype(np.float64)
        return transform_points(inverse, points_mm)

    def corners(self) -> Points:
        """LPS mm of the centres of the eight corner voxels, [8, 3]."""
        ends = [(0, size - 1) for size in self.size_xyz]
        return self.index_to_physical(list(itertools.product(*ends)))

    def same_grid(self, other: "Geometry", tolerance: float = SAME_GRID_VOXELS) -> bool:
        """Whether both grids have the same voxels: no corner differs by more than `tolerance` voxels.

        Programs write origins and directions with six digits or fewer, hence the tolerance.
        """
        if self.size_xyz != other.size_xyz:
            return False
        apart_voxels = np.abs(self.physical_to_index(other.corners()) - self.physical_to_index(self.corners()))
        return bool(apart_voxels.max() <= tolerance)

    def is_orthonormal(self, tolerance: float = 1e-4) -> bool:
        """Whether the axes are unit vectors at right angles."""
        return bool(np.abs(self.cosines.T @ self.cosines - np.eye(3)).max() <= tolerance)

    @property
    def obliqueness_deg(self) -> float:
        """Largest angle between an image axis and the body axis nearest to it, in degrees (0 to 54.7)."""
        axes = self.cosines / np.linalg.norm(self.cosines, axis=0)
        cosines = np.abs(axes).max(axis=0)
        return float(np.degrees(np.arccos(np.clip(cosines.min(), 0.0, 1.0))))


@dataclass(frozen=True)
class Volume:
    """An array [z, y, x] on its grid."""

    array: NDArray[Any]
    geometry: Geometry

    def __post_init__(self) -> None:
        """Refuse an array that does not fit the grid."""
        if self.array.shape != self.geometry.size_xyz[::-1]:
            raise ArgumentError(
                f"array of shape {self.array.shape} on a grid of {self.geometry.size_xyz} voxels; "
                f"the array's axes must be z, y, x"
            )


@dataclass(frozen=True)
class Orientation:
    """How the axes of a grid are permuted and flipped to run nearest to L, P and S.

    `axes[i]` is the index axis that runs along LPS axis i, `flipped[i]` whether it runs against it.
    """

    axes: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]

    def geometry(self, grid: Geometry) -> Geometry:
        """The same voxels with axes in LPS order; the origin moves to the voxel that becomes the first."""
        signs = np.where(self.flipped, -1.0, 1.0)
        first = np.zeros(3)
        for axis, flipped in zip(self.axes, self.flipped, strict=True):
            first[axis] = grid.size_xyz[axis] - 1 if flipped else 0
        return Geometry(
            as_triple_of_int(grid.size_xyz[axis] for axis in self.axes),
            as_triple(grid.spacing_mm[axis] for axis in self.axes),
            as_triple(grid.index_to_physical(first)),
            tuple((grid.cosines[:, self.axes] * signs).ravel().tolist()),
        )

    def array(self, array_zyx: NDArray[Any]) -> NDArray[Any]:
        """A view of `array_zyx` whose axes run S, P, L (z, y, x of `geometry`)."""
        turned = array_zyx.transpose([2 - axis for axis in self.axes[::-1]])
        return turned[tuple(slice(None, None, -1 if flipped else None) for flipped in self.flipped[::-1])]


def lps_orientation(grid: Geometry) -> Orientation:
    """The permutation and flips that bring `grid` nearest to LPS, for all 48 orientations and oblique ones.

    The largest cosine left decides first, as in ITK's DICOMOrient.

    >>> lps_orientation(Geometry((2, 3, 4), (1.0, 1.0, 1.0), direction=(0, -1, 0, 0, 0, 1, 1, 0, 0)))
    Orientation(axes=(1, 2, 0), flipped=(True, False, False))
    """
    cosines = grid.cosines
    left = np.abs(cosines)
    axes, flipped = [0, 0, 0], [False, False, False]
    for _ in range(3):
        body, index = divmod(int(left.argmax()), 3)
        axes[body], flipped[body] = index, bool(cosines[body, index] < 0)
        left[body, :], left[:, index] = -1.0, -1.0
    return Orientation((axes[0], axes[1], axes[2]), (flipped[0], flipped[1], flipped[2]))


def transform_points(matrix: NDArray[np.float64], points: ArrayLike) -> Points:
    """Apply a homogeneous matrix [4, 4] to points [..., 3]."""
    return np.asarray(points, dtype=np.float64) @ matrix[:3, :3].T + matrix[:3, 3]


def bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """The smallest block that holds all of `mask`, which is not empty."""
    box: list[slice] = []
    for axis in range(mask.ndim):
        within = mask[tuple(box)]
        reached = np.flatnonzero(within.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        box.append(slice(int(reached[0]), int(reached[-1]) + 1))
    return tuple(box)


def as_triple(values: Any) -> Triple:
    """Three numbers as a tuple of Python floats."""
    first, second, third = (float(value) for value in values)
    return first, second, third


def as_triple_of_int(values: Any) -> tuple[int, int, int]:
    """Three counts as a tuple of Python integers."""
    first, second, third = (int(value) for value in values)
    return first, second, third


def sample_roi(roi: Volume, points_mm: Points) -> NDArray[np.bool_]:
    """Whether LPS points [..., 3] lie in `roi`: the voxel nearest to each decides; False outside the volume.

    Half way between two voxels the one farther to L, P or S decides, as where planes are chosen.
    """
    orientation = lps_orientation(roi.geometry)
    upwards = np.empty(3)
    upwards[list(orientation.axes)] = np.where(orientation.flipped, -_ROI_TIE, _ROI_TIE)
    nearest = np.floor(roi.geometry.physical_to_index(points_mm) + 0.5 + upwards).astype(np.int64)
    inside = np.all((nearest >= 0) & (nearest < roi.geometry.size_xyz), axis=-1)
    found = np.zeros(inside.shape, dtype=np.bool_)
    x, y, z = nearest[inside].T
    found[inside] = roi.array[z, y, x] != 0
    return found
