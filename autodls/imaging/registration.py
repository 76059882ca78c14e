"""Rigid registration of one sequence to another by mutual information.

A sequence is moved only when the evidence is clear: what the scanner says about the grids is usually right, and a
registration that fails quietly does more harm than a few millimetres of motion.
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from autodls.imaging.geometry import Geometry, Volume
from autodls.imaging.itk import to_sitk
from autodls.imaging.threads import one_thread

MAX_TRANSLATION_MM = 10.0
MAX_ROTATION_DEG = 10.0
MIN_RELATIVE_GAIN = 0.05
MIN_GAIN_NATS = 0.01

_COARSE_MM = 2.0
_MIN_VOXELS = 16
_BINS = 32
_SAMPLED_SHARE = 0.1
_SAMPLING_SEED = 1
_ITERATIONS = 100


@dataclass(frozen=True)
class RigidResult:
    """What a registration found and whether it is believed.

    `matrix` [4, 4] takes a point of the fixed volume to its place in the moving one, LPS mm; it is the identity unless
    `accepted`. `translation_mm` (of the fixed volume's centre) and `rotation_deg` are what the search proposed, also
    when refused; mutual information is in nats, without and with the proposal.
    """

    matrix: NDArray[np.float64]
    translation_mm: float
    rotation_deg: float
    information_before: float
    information_after: float
    accepted: bool
    reason: str


def register_rigid(fixed: Volume, moving: Volume) -> RigidResult:
    """Find the rigid motion between two volumes of one patient.

    Mattes mutual information (32 bins, 10 % of the voxels at fixed random places), Euler angles about the centre of the
    fixed volume, gradient descent on two levels, volumes shrunk to about 2 mm; one thread, so that the result is the
    same everywhere (Mattes et al., IEEE Trans Med Imaging 2003;22:120-128). The proposal is accepted when it raises
    the mutual information by 5 % and 0.01 nats at least, moves the centre by 10 mm at most and turns by 10 degrees at
    most. Never raises for volumes that cannot be registered: `reason` says why.
    """
    fixed_image, moving_image = _shrunk(fixed), _shrunk(moving)
    transform = sitk.Euler3DTransform()
    transform.SetCenter(_centre(fixed.geometry))
    try:
        with one_thread():
            before = _information(fixed_image, moving_image, transform)
            _search(fixed_image, moving_image, transform)
            after = _information(fixed_image, moving_image, transform)
    except RuntimeError:
        return RigidResult(np.eye(4), 0.0, 0.0, 0.0, 0.0, False, "the volumes do not overlap enough to be compared")
    matrix = _matrix(transform)
    translation_mm, rotation_deg = float(np.linalg.norm(transform.GetTranslation())), _rotation_deg(matrix)
    refusal = _refusal(translation_mm, rotation_deg, before, after)
    return RigidResult(
        np.eye(4) if refusal else matrix,
        translation_mm,
        rotation_deg,
        before,
        after,
        not refusal,
        refusal or f"mutual information rose from {before:.3f} to {after:.3f} nats",
    )


def _refusal(translation_mm: float, rotation_deg: float, before: float, after: float) -> str:
    """Why a proposal is not believed; empty when it is."""
    if translation_mm > MAX_TRANSLATION_MM:
        return f"translation of {translation_mm:.1f} mm exceeds {MAX_TRANSLATION_MM:g} mm"
    if rotation_deg > MAX_ROTATION_DEG:
        return f"rotation of {rotation_deg:.1f} degrees exceeds {MAX_ROTATION_DEG:g} degrees"
    if after - before < max(MIN_GAIN_NATS, MIN_RELATIVE_GAIN * before):
        return f"mutual information went from {before:.3f} to {after:.3f} nats, no clear gain"
    return ""


def _method(fixed: sitk.Image, moving: sitk.Image, transform: sitk.Transform) -> sitk.ImageRegistrationMethod:
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetInitialTransform(transform, inPlace=True)
    return method


def _search(fixed: sitk.Image, moving: sitk.Image, transform: sitk.Transform) -> None:
    """Move `transform` to the maximum of mutual information."""
    method = _method(fixed, moving, transform)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(_SAMPLED_SHARE, _SAMPLING_SEED)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-3, _ITERATIONS, relaxationFactor=0.6)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([2, 1])
    method.SetSmoothingSigmasPerLevel([2.0, 0.0])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.Execute(fixed, moving)


def _information(fixed: sitk.Image, moving: sitk.Image, transform: sitk.Transform) -> float:
    """Mutual information in nats over all voxels."""
    return -float(_method(fixed, moving, transform).MetricEvaluate(fixed, moving))


def _shrunk(volume: Volume) -> sitk.Image:
    """The mean of blocks of voxels, so that spacing comes to about 2 mm; thick slices stay as they are."""
    factors = [
        max(1, min(int(_COARSE_MM / step), size // _MIN_VOXELS))
        for step, size in zip(volume.geometry.spacing_mm, volume.geometry.size_xyz, strict=True)
    ]
    shrunk: sitk.Image = sitk.BinShrink(sitk.Cast(to_sitk(volume), sitk.sitkFloat32), factors)
    return shrunk


def _centre(grid: Geometry) -> tuple[float, ...]:
    centre = grid.index_to_physical((np.asarray(grid.size_xyz) - 1) / 2)
    return tuple(float(coordinate) for coordinate in centre)


def _matrix(transform: sitk.Euler3DTransform) -> NDArray[np.float64]:
    """Homogeneous matrix of x -> R (x - c) + c + t."""
    rotation = np.asarray(transform.GetMatrix()).reshape(3, 3)
    centre = np.asarray(transform.GetCenter())
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = centre + np.asarray(transform.GetTranslation()) - rotation @ centre
    return matrix


def _rotation_deg(matrix: NDArray[np.float64]) -> float:
    cosine = (np.trace(matrix[:3, :3]) - 1) / 2
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))
