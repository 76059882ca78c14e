"""Whole volumes on another grid, by SimpleITK: what the samples of `preprocessing.sampling` are held against."""

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from autodls.imaging.geometry import Geometry, Volume
from autodls.imaging.itk import to_sitk

INTERPOLATORS = {"bspline": sitk.sitkBSpline, "nearest": sitk.sitkNearestNeighbor}


def resample(
    volume: Volume,
    grid: Geometry,
    interpolator: str = "bspline",
    outside: float = 0.0,
    grid_to_volume: NDArray[np.float64] | None = None,
) -> Volume:
    """`volume` on `grid`: cubic B-spline ("bspline") or nearest neighbour ("nearest").

    `grid_to_volume` is a homogeneous matrix [4, 4] in LPS mm that takes a point of the grid to its place in the volume
    (as `RigidResult.matrix`). Points outside the volume become `outside`.
    """
    image = sitk.Resample(
        to_sitk(volume),
        grid.size_xyz,
        to_transform(np.eye(4) if grid_to_volume is None else grid_to_volume),
        INTERPOLATORS[interpolator],
        grid.origin_mm,
        grid.spacing_mm,
        grid.direction,
        outside,
    )
    array = sitk.GetArrayFromImage(image)
    return Volume(array.astype(np.bool_) if volume.array.dtype == np.bool_ else array, grid)


def to_transform(matrix: NDArray[np.float64]) -> sitk.Transform:
    """A homogeneous matrix [4, 4] as a SimpleITK transform."""
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(matrix[:3, :3].ravel().tolist())
    transform.SetTranslation(matrix[:3, 3].tolist())
    return transform
