"""Rigid registration of one sequence to another by mutual information, verified.

A sequence is moved only when the evidence is clear: what the scanner says about the grids is usually right, and a
registration that fails quietly does more harm than a few millimetres of motion, or than a sequence that is missing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from autodls.imaging.geometry import Geometry, Points, Volume, transform_points
from autodls.imaging.itk import to_sitk
from autodls.imaging.resampling import to_transform
from autodls.imaging.threads import one_thread

NEAR_MM = 10.0
MAX_ROTATION_DEG = 10.0
MIN_RELATIVE_GAIN = 0.05
MIN_GAIN_NATS = 0.01
AGREEMENT_MM = 2.0

_COARSE_MM = 2.0
_MIN_VOXELS = 16
_BINS = 32
_SAMPLED_SHARE = 0.1
_SAMPLING_SEED = 1
_ITERATIONS = 100
_ASIDE_MM = (9.0, -9.0, 6.0)
_AS_GOOD = 0.97  # of the best mutual information: a second answer, unless it is the same
_MIRRORS: tuple[tuple[int, ...], ...] = ((0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2))

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class RigidResult:
    """What a registration found and what is to be done.

    `matrix` [4, 4] takes a point of the fixed volume to its place in the moving one, LPS mm; it is the identity unless
    `outcome` is "moved". "left": nothing fits clearly better than the headers. "refused": something does, and it is
    not certain where. `translation_mm` (of the fixed volume's centre) and `rotation_deg` are what the search proposed;
    mutual information is in nats, without and with the proposal.
    """

    matrix: Matrix
    translation_mm: float
    rotation_deg: float
    information_before: float
    information_after: float
    outcome: Literal["moved", "left", "refused"]
    reason: str

    @property
    def accepted(self) -> bool:
        """Whether the sequence is moved."""
        return self.outcome == "moved"

    @property
    def is_far(self) -> bool:
        """Whether this is farther than a patient moves: a header is wrong."""
        return self.translation_mm > NEAR_MM


@dataclass(frozen=True)
class _Answer:
    """Where one search ended: the motion, and the mutual information in nats."""

    matrix: Matrix
    information: float


def register_rigid(fixed: Volume, moving: Volume) -> RigidResult:
    """Find the rigid motion between two volumes of one patient, from the headers first, then from far away.

    Each search maximises Mattes mutual information (32 bins, 10 % of the voxels at fixed random places), Euler angles
    about the centre of the fixed volume, gradient descent on two levels, volumes shrunk to about 2 mm; one thread, so
    that the result is the same everywhere (Mattes et al., IEEE Trans Med Imaging 2003;22:120-128). Searches start where
    the headers say, beside it, and where centres of mass meet; if no two agree on the best answer, where the centres of
    the volumes meet and beside the centres of mass. Answers are compared by mutual information over the whole fixed
    volume, what the other does not show counting as its darkest value: so that a small overlap wins nothing.

    The best answer is taken when it raises the mutual information by 5 % and 0.01 nats at least, turns by 10 degrees at
    most, two searches end within 2 mm of it, and no other answer is as good. One that moves the centre by more than
    10 mm means that a header is wrong: it must be found from the other volume as well, and no mirror image of the
    moving volume may fit better. Never raises for volumes that cannot be registered: `reason` says why.
    """
    with one_thread():
        pair = _Pair.of(fixed, moving)
        before = pair.information(np.eye(4))
        answers = [found for start in pair.near_starts() if (found := pair.search(start))]
        if not answers or len(_agreeing(answers, pair.landmarks_mm)) < 2:
            answers += [found for start in pair.far_starts() if (found := pair.search(start))]
        if not answers:
            nowhere = "the volumes do not overlap enough to be compared"
            return RigidResult(np.eye(4), 0.0, 0.0, before, before, "refused", nowhere)
        best = max(answers, key=lambda answer: answer.information)
        outcome, reason = _judged(pair, before, best, answers)
    return RigidResult(
        best.matrix if outcome == "moved" else np.eye(4),
        pair.translation_mm(best.matrix),
        _rotation_deg(best.matrix),
        before,
        best.information,
        outcome,
        reason,
    )


def _judged(
    pair: "_Pair", before: float, best: _Answer, answers: list[_Answer]
) -> tuple[Literal["moved", "left", "refused"], str]:
    """What is to be done by the best of the answers, and why."""
    rise = f"mutual information went from {before:.3f} to {best.information:.3f} nats"
    if best.information - before < max(MIN_GAIN_NATS, MIN_RELATIVE_GAIN * before):
        return "left", f"{rise}, no clear gain"
    translation_mm, rotation_deg = pair.translation_mm(best.matrix), _rotation_deg(best.matrix)
    if rotation_deg > MAX_ROTATION_DEG:
        return "refused", f"rotation of {rotation_deg:.1f} degrees exceeds {MAX_ROTATION_DEG:g} degrees"
    apart_mm = [_apart_mm(best, answer, pair.landmarks_mm) for answer in answers if answer is not best]
    if min(apart_mm, default=np.inf) > AGREEMENT_MM:
        return "refused", f"{rise}, but no two searches end within {AGREEMENT_MM:g} mm of each other there"
    rivals = [answer for answer in answers if answer.information > _AS_GOOD * best.information]
    if (farthest := max(_apart_mm(best, answer, pair.landmarks_mm) for answer in rivals)) > 2 * AGREEMENT_MM:
        return "refused", f"two places {farthest:.0f} mm apart fit as well as each other"
    if translation_mm > NEAR_MM and (doubt := _far_doubt(pair, best)):
        return "refused", f"a translation of {translation_mm:.0f} mm is not believed: {doubt}"
    return "moved", f"{rise} at a translation of {translation_mm:.1f} mm, on which searches agree"


def _far_doubt(pair: "_Pair", best: _Answer) -> str | None:
    """Why a wrong header is not simply a shift."""
    back = pair.swapped().search(_inverse(best.matrix))
    if back is None or _apart_mm(best, _Answer(_inverse(back.matrix), 0.0), pair.landmarks_mm) > AGREEMENT_MM:
        return "from the other volume it is not found"
    for axes in _MIRRORS:
        mirrored = pair.mirrored(axes)
        found = mirrored.search(mirrored.mass_start())
        if found is not None and found.information > best.information:
            return f"the volume fits better with its axes {', '.join('xyz'[axis] for axis in axes)} flipped"
    return None


def _agreeing(answers: list[_Answer], landmarks_mm: Points) -> list[_Answer]:
    """The best answer and those that say the same."""
    best = max(answers, key=lambda answer: answer.information)
    return [answer for answer in answers if _apart_mm(best, answer, landmarks_mm) <= AGREEMENT_MM]


def _apart_mm(one: _Answer, other: _Answer, landmarks_mm: Points) -> float:
    """The largest distance between what two answers make of the landmarks."""
    moved = transform_points(one.matrix, landmarks_mm) - transform_points(other.matrix, landmarks_mm)
    return float(np.linalg.norm(moved, axis=-1).max())


@dataclass(frozen=True)
class _Pair:
    """Two shrunk volumes; `landmarks_mm` [8, 3] lie half way between the fixed one's centre and its corners."""

    fixed: sitk.Image
    moving: sitk.Image
    fixed_grid: Geometry
    moving_grid: Geometry

    @classmethod
    def of(cls, fixed: Volume, moving: Volume) -> "_Pair":
        return cls(_shrunk(fixed), _shrunk(moving), fixed.geometry, moving.geometry)

    def swapped(self) -> "_Pair":
        return _Pair(self.moving, self.fixed, self.moving_grid, self.fixed_grid)

    def mirrored(self, axes: tuple[int, ...]) -> "_Pair":
        """With the voxels of the moving volume in reverse order along index `axes`, its grid as it was."""
        array = np.flip(sitk.GetArrayFromImage(self.moving), tuple(2 - axis for axis in axes))
        moving = sitk.GetImageFromArray(np.ascontiguousarray(array))
        moving.CopyInformation(self.moving)
        return _Pair(self.fixed, moving, self.fixed_grid, self.moving_grid)

    @property
    def landmarks_mm(self) -> Points:
        corners, centre = self.fixed_grid.corners(), _centre(self.fixed_grid)
        halfway: Points = (corners + centre) / 2
        return halfway

    def translation_mm(self, matrix: Matrix) -> float:
        """How far a motion takes the centre of the fixed volume."""
        centre = _centre(self.fixed_grid)
        return float(np.linalg.norm(transform_points(matrix, centre) - centre))

    def near_starts(self) -> Iterator[Matrix]:
        yield np.eye(4)
        yield _shift(np.asarray(_ASIDE_MM))
        yield self.mass_start()

    def far_starts(self) -> Iterator[Matrix]:
        yield _shift(_centre(self.moving_grid) - _centre(self.fixed_grid))
        yield _shift(self.mass_start()[:3, 3] - np.asarray(_ASIDE_MM))

    def mass_start(self) -> Matrix:
        """Centres of mass of what is above the mean meet."""
        return _shift(_mass_centre(self.moving) - _mass_centre(self.fixed))

    def search(self, start: Matrix) -> _Answer | None:
        """Where the search from `start` ends; None where the volumes do not overlap there."""
        transform = sitk.Euler3DTransform()
        transform.SetCenter(_centre(self.fixed_grid).tolist())
        transform.SetMatrix(start[:3, :3].ravel().tolist(), 1e-6)
        centre = np.asarray(transform.GetCenter())
        transform.SetTranslation((transform_points(start, centre) - centre).tolist())
        try:
            _maximise(self.fixed, self.moving, transform)
        except RuntimeError:
            return None
        matrix = _matrix(transform)
        return _Answer(matrix, self.information(matrix))

    def information(self, matrix: Matrix) -> float:
        """Mutual information in nats over all voxels of the fixed volume; outside, the moving one is darkest."""
        there = sitk.GetArrayViewFromImage(self.moving)
        moved = sitk.Resample(self.moving, self.fixed, to_transform(matrix), sitk.sitkLinear, float(there.min()))
        pair = [sitk.GetArrayFromImage(image).ravel() for image in (self.fixed, moved)]
        bounds = [np.percentile(values, (0.5, 99.5)) for values in (pair[0], there)]
        return _mutual_information([_binned(values, *edge) for values, edge in zip(pair, bounds, strict=True)])


def _binned(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.intp]:
    share = (values - low) / max(high - low, 1e-30)
    return np.asarray(np.clip(share * _BINS, 0, _BINS - 1), dtype=np.intp)


def _mutual_information(bins: list[NDArray[np.intp]]) -> float:
    joint = np.bincount(bins[0] * _BINS + bins[1], minlength=_BINS * _BINS).reshape(_BINS, _BINS) / bins[0].size
    apart = np.outer(joint.sum(axis=1), joint.sum(axis=0))
    seen = joint > 0
    return float((joint[seen] * np.log(joint[seen] / apart[seen])).sum())


def _maximise(fixed: sitk.Image, moving: sitk.Image, transform: sitk.Transform) -> None:
    """Move `transform` to the maximum of mutual information."""
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetInitialTransform(transform, inPlace=True)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(_SAMPLED_SHARE, _SAMPLING_SEED)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-3, _ITERATIONS, relaxationFactor=0.6)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([2, 1])
    method.SetSmoothingSigmasPerLevel([2.0, 0.0])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.Execute(fixed, moving)


def _shrunk(volume: Volume) -> sitk.Image:
    """The mean of blocks of voxels, so that spacing comes to about 2 mm; thick slices stay as they are."""
    factors = [
        max(1, min(int(_COARSE_MM / step), size // _MIN_VOXELS))
        for step, size in zip(volume.geometry.spacing_mm, volume.geometry.size_xyz, strict=True)
    ]
    shrunk: sitk.Image = sitk.BinShrink(sitk.Cast(to_sitk(volume), sitk.sitkFloat32), factors)
    return shrunk


def _mass_centre(image: sitk.Image) -> Points:
    """LPS mm of the centre of mass of the voxels above the mean."""
    array = sitk.GetArrayViewFromImage(image)
    index_xyz = np.argwhere(array > array.mean())[:, ::-1].mean(axis=0) if np.ptp(array) > 0 else np.zeros(3)
    return np.asarray(image.TransformContinuousIndexToPhysicalPoint(index_xyz.tolist()))


def _shift(by_mm: Points) -> Matrix:
    matrix: Matrix = np.eye(4)
    matrix[:3, 3] = by_mm
    return matrix


def _inverse(matrix: Matrix) -> Matrix:
    return np.linalg.inv(matrix).astype(np.float64)


def _centre(grid: Geometry) -> Points:
    return grid.index_to_physical((np.asarray(grid.size_xyz) - 1) / 2)


def _matrix(transform: sitk.Euler3DTransform) -> Matrix:
    """Homogeneous matrix of x -> R (x - c) + c + t."""
    rotation = np.asarray(transform.GetMatrix()).reshape(3, 3)
    centre = np.asarray(transform.GetCenter())
    matrix: Matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = centre + np.asarray(transform.GetTranslation()) - rotation @ centre
    return matrix


def _rotation_deg(matrix: Matrix) -> float:
    cosine = (np.trace(matrix[:3, :3]) - 1) / 2
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))
