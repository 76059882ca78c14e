"""Volumes of a few thousand voxels, made on the fly, on grids of every orientation."""

import itertools

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from autodls.imaging.geometry import Geometry, Volume

SIZE = (40, 48, 12)
SPACINGS_MM = (0.4, 0.5, 0.8, 0.9765625, 1.2, 2.0, 3.3, 4.0, 5.0)
STRAIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
ORIENTATIONS = [
    np.diag(signs)[:, list(axes)]
    for axes in itertools.permutations(range(3))
    for signs in itertools.product((1.0, -1.0), repeat=3)
]


def oblique(orientation, degrees, chance):
    """One of the 48 orientations, turned by up to `degrees` about a random axis; row-major cosines."""
    axis = chance.normal(size=3)
    turn = Rotation.from_rotvec(np.radians(degrees) * axis / np.linalg.norm(axis)).as_matrix()
    return tuple((turn @ orientation).ravel().tolist())


def grid_around(centre_mm, size_xyz=SIZE, spacing_mm=(1.0, 1.0, 4.0), direction=STRAIGHT):
    """A grid whose middle lies at `centre_mm`."""
    reach = np.reshape(direction, (3, 3)) @ ((np.array(size_xyz) - 1) / 2 * spacing_mm)
    return Geometry(tuple(size_xyz), tuple(spacing_mm), tuple((np.asarray(centre_mm) - reach).tolist()), direction)


def random_grid(chance, orientation=None, degrees=0.0, spacings_mm=SPACINGS_MM):
    """A small grid somewhere in the scanner; by default of any orientation."""
    orientation = ORIENTATIONS[chance.integers(48)] if orientation is None else orientation
    size = [int(count) for count in chance.integers(6, 24, 3)]
    spacing = [float(step) for step in chance.choice(spacings_mm, 3)]
    return grid_around(chance.normal(size=3) * 60, size, spacing, oblique(orientation, degrees, chance))


def points_of(grid):
    """LPS mm of every voxel centre, [z, y, x, 3]."""
    z, y, x = np.indices(grid.size_xyz[::-1])
    return grid.index_to_physical(np.stack([x, y, z], axis=-1))


def textured(grid, chance, smooth_voxels=0.6):
    """Noise of about the sharpness of an MR image, as float32."""
    array = ndimage.gaussian_filter(chance.normal(size=grid.size_xyz[::-1]), smooth_voxels)
    return Volume((100 + 40 * array / array.std()).astype(np.float32), grid)


def anatomy(grid, centre_mm=(0.0, 0.0, 0.0), contrast=1.0):
    """The same smooth object in the patient, seen on `grid`; `contrast` changes the order of its tissues."""
    points = points_of(grid) - np.asarray(centre_mm)
    x, y, z = (points[..., axis] for axis in range(3))
    head = (x / 19) ** 2 + (y / 22) ** 2 + (z / 26) ** 2 < 1
    tissue = 2 + np.cos(x / 4) * np.cos(y / 5 + 0.3) + np.sin(z / 6 + x / 9) + (np.hypot(x - 5, y + 6) < 6)
    return Volume((head * (4 + contrast * tissue)).astype(np.float32), grid)


def ball(grid, centre_mm=(0.0, 0.0, 0.0), radii_mm=(8.0, 6.0, 7.0)):
    """An ellipsoidal ROI."""
    apart = (points_of(grid) - np.asarray(centre_mm)) / np.asarray(radii_mm)
    return Volume((apart**2).sum(axis=-1) < 1, grid)


def lumps(grid, chance):
    """An irregular ROI: a few ellipsoids near the middle, sometimes apart, never empty."""
    middle = grid.index_to_physical((np.array(grid.size_xyz) - 1) / 2)
    extent = np.array(grid.size_xyz) * grid.spacing_mm
    found = np.zeros(grid.size_xyz[::-1], dtype=bool)
    for _ in range(chance.integers(1, 4)):
        centre = middle + chance.uniform(-0.25, 0.25, 3) * extent.min()
        found |= ball(grid, centre, chance.uniform(0.08, 0.35, 3) * extent.min() + 0.3 * min(grid.spacing_mm)).array
    if not found.any():
        found[tuple(count // 2 for count in found.shape)] = True
    return Volume(found, grid)
