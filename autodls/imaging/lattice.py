"""Grids that share their voxels but not their order or their size, and how grids that share none differ. NumPy only."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autodls.imaging.geometry import SAME_GRID_VOXELS, Geometry, Volume, as_triple_of_int

_SAME_ANGLE_DEG = 0.1


class Placed(NamedTuple):
    """A mask on the grid of its image, and in words what was done to bring it there."""

    volume: Volume
    done: str


def onto_grid(mask: Volume, grid: Geometry) -> Placed | None:
    """The `mask` [z, y, x], bool or of labels, on `grid`, where that takes no interpolation; None where it does.

    Axes are exchanged and flipped, and background is cut off or added at the borders, where every voxel of the mask
    that `grid` has as well lies on it to `SAME_GRID_VOXELS`. Along each axis one of the two must hold the other: masks
    of the same extent that lie elsewhere have lost their place, not their margin. None as well where the mask reaches
    out of `grid`.
    """
    found = _steps(mask.geometry, grid)
    if found is None:
        return None
    turn, low, high = found
    last = np.asarray(grid.size_xyz) - 1
    inside, around = (low >= 0) & (high <= last), (low <= 0) & (high >= last)
    if not (inside | around).all():
        return None
    array = _turned(mask.array, turn)
    kept = [slice(max(0, -first), max(0, -first) + min(end, most) - max(0, first) + 1)
            for first, end, most in zip(low, high, last, strict=True)]  # fmt: skip
    within = array[tuple(kept[::-1])]
    if np.count_nonzero(within) < np.count_nonzero(array):
        return None
    target = np.zeros(grid.size_xyz[::-1], dtype=array.dtype)
    place = [slice(max(0, first), min(end, most) + 1) for first, end, most in zip(low, high, last, strict=True)]
    target[tuple(place[::-1])] = within
    cut, grown = bool((around & ~inside).any()), bool((inside & ~around).any())
    return Placed(Volume(target, grid), ", ".join(_words(turn, cut, grown)))


def _words(turn: NDArray[np.int64], cut: bool, grown: bool) -> Iterator[str]:
    if np.any(abs(turn) != np.eye(3)):
        yield "axes exchanged"
    if turn.min() < 0:
        yield "axes flipped"
    if cut:
        yield "empty margins cut off"
    if grown:
        yield "empty margins added"


def _steps(mask: Geometry, grid: Geometry) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]] | None:
    """Axes of `grid` [row] in steps of `mask` [column], and the first and last index that `mask` reaches, x, y, z."""
    ends = np.stack([np.zeros(3), np.asarray(mask.size_xyz) - 1.0])
    corners = np.stack(np.meshgrid(*ends.T, indexing="ij"), axis=-1).reshape(-1, 3)
    reached = grid.physical_to_index(mask.index_to_physical(corners))
    steps = grid.physical_to_index(mask.index_to_physical(np.eye(3))) - grid.physical_to_index(mask.origin_mm)
    turn = np.rint(steps.T).astype(np.int64)
    if np.any(np.abs(turn).sum(axis=0) != 1) or np.any(np.abs(turn).sum(axis=1) != 1):
        return None
    whole = corners @ turn.T + np.rint((reached - corners @ turn.T).mean(axis=0))
    if np.abs(reached - whole).max() > SAME_GRID_VOXELS:
        return None
    return turn, whole.min(axis=0).astype(np.int64), whole.max(axis=0).astype(np.int64)


def _turned(array_zyx: NDArray[np.bool_], turn: NDArray[np.int64]) -> NDArray[np.bool_]:
    """A view of `array_zyx` whose axes are those of the grid."""
    source = np.abs(turn).argmax(axis=1)
    signs = turn[np.arange(3), source]
    turned = array_zyx.transpose([2 - int(axis) for axis in source[::-1]])
    return turned[tuple(slice(None, None, -1 if sign < 0 else None) for sign in signs[::-1])]


def grid_fault(mask: Geometry, image: Geometry) -> tuple[str, str]:
    """What to say of a mask that lies on another grid than its image, and the repair.

    >>> flat = Geometry((40, 48, 12), (1.0, 1.0, 5.0))
    >>> print(grid_fault(flat, Geometry((40, 48, 12), (1.0, 1.0, 5.0), (0.4, 0.0, 0.0)))[1])
    resample the ROI onto the image with nearest neighbours, or copy its origin: they differ in nothing else
    """
    what = f"is on another grid ({describe_grid(mask)}) than its image ({describe_grid(image)})"
    turned_deg = _angle_deg(mask, image)
    same = {
        "size": mask.size_xyz == image.size_xyz,
        "spacing": np.allclose(mask.spacing_mm, image.spacing_mm, rtol=1e-3),
        "origin": np.allclose(mask.origin_mm, image.origin_mm, atol=SAME_GRID_VOXELS * min(image.spacing_mm)),
        "direction": turned_deg < _SAME_ANGLE_DEG,
    }
    differing = [name for name, alike in same.items() if not alike]
    repair = "resample the ROI onto the image with nearest neighbours"
    if differing not in (["direction"], ["origin"]):
        return what, repair
    by = f" ({turned_deg:.3g} degrees)" if differing == ["direction"] else ""
    return what, f"{repair}, or copy its {differing[0]}: they differ in nothing else{by}"


def _angle_deg(one: Geometry, other: Geometry) -> float:
    """The largest angle between axes of the same index."""
    axes = [grid.cosines / np.linalg.norm(grid.cosines, axis=0) for grid in (one, other)]
    # The chord, as the cosine of a small angle has lost half of its digits.
    chords = np.linalg.norm(axes[0] - axes[1], axis=0).max()
    return float(np.degrees(2 * np.arcsin(min(1.0, chords / 2))))


def describe_grid(grid: Geometry) -> str:
    """Size, spacing, origin and axes as one clause: grids that differ are not described alike."""
    size = " x ".join(map(str, as_triple_of_int(grid.size_xyz)))
    spacing = " x ".join(f"{side:.4g}" for side in grid.spacing_mm)
    origin = ", ".join(f"{place:.5g}" for place in grid.origin_mm)
    axes = " / ".join(" ".join(f"{cosine + 0.0:.3g}" for cosine in np.round(axis, 4)) for axis in grid.cosines.T)
    return f"{size} voxels of {spacing} mm from {origin}, axes {axes}"
