"""Scanners: what grid a site acquires a sequence on, and what its receiver does to the signal.

All sequences of a patient lie in one physical frame (LPS, mm): the patient does not move between them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from autodls.imaging.geometry import Geometry
from autodls.imaging.volumes import Volume
from autodls.phantom.anatomy import Anatomy
from autodls.phantom.settings import CT
from autodls.phantom.waves import Array, PointArrays

_COUNTS_PER_UNIT = 1000.0


@dataclass(frozen=True)
class Protocol:
    """How a site acquires one sequence.

    `tilt_deg`: rotation of the stack about x, y and z; a rotation of 180 degrees about z stores rows and columns in
    reverse. `noise`: standard deviation of either channel of the receiver, where fat on T1WI is near 1; of CT in
    thousands of HU.
    """

    matrix: int
    spacing_mm: float
    slices: int
    slice_mm: float
    tilt_deg: tuple[float, float, float]
    noise: float


PROTOCOLS: dict[str, dict[str, Protocol]] = {
    "A": {
        "T1WI": Protocol(96, 2.0, 22, 5.0, (0, 0, 0), 0.020),
        "T2WI": Protocol(100, 1.9, 22, 5.0, (-9, 0, 0), 0.020),
        "CE-T1WI": Protocol(96, 2.0, 24, 4.5, (4, 0, 0), 0.020),
        CT: Protocol(112, 1.75, 36, 3.0, (0, 0, 0), 0.012),
    },
    "B": {
        "T1WI": Protocol(88, 2.2, 20, 5.5, (0, 0, 180), 0.025),
        "T2WI": Protocol(104, 1.8, 24, 4.5, (8, 3, 0), 0.030),
        "CE-T1WI": Protocol(92, 2.1, 20, 5.5, (0, 0, 0), 0.025),
        CT: Protocol(104, 1.9, 28, 4.0, (0, 0, 180), 0.015),
    },
    "C": {
        "T1WI": Protocol(100, 1.9, 20, 5.5, (5, 0, 0), 0.025),
        "T2WI": Protocol(92, 2.1, 20, 5.5, (0, -4, 0), 0.025),
        "CE-T1WI": Protocol(104, 1.8, 22, 5.0, (-6, 2, 0), 0.025),
        CT: Protocol(96, 2.0, 32, 3.5, (0, 0, 0), 0.015),
    },
}
GAIN = {"A": 1.0, "B": 0.6, "C": 1.7}


@dataclass(frozen=True)
class Pose:
    """Where the head lies in the scanner: scanner = `rotation` @ head + `shift_mm`."""

    rotation: NDArray[np.float64]
    shift_mm: NDArray[np.float64]


def draw_pose(chance: np.random.Generator) -> Pose:
    """A head lying almost straight, up to a few degrees and a centimetre off."""
    rotation = Rotation.from_euler("xyz", np.clip(chance.normal(0, 2.5, 3), -6, 6), degrees=True)
    return Pose(rotation.as_matrix(), np.clip(chance.normal(0, 5, 3), -10, 10))


@dataclass(frozen=True)
class Acquisition:
    """One scan of one sequence, drawn but not yet taken."""

    sequence: str
    geometry: Geometry
    gain: float
    bias: NDArray[np.float64]
    noise: float
    noise_seed: int


def draw_acquisition(
    site: str, sequence: str, matrix_factor: float, difficulty: float, chance: np.random.Generator
) -> Acquisition:
    """A scan by the protocol of `site`, with the operator's tilt and offset, and the receiver's gain and bias field."""
    protocol = PROTOCOLS[site][sequence]
    tilt = Rotation.from_euler("xyz", np.array(protocol.tilt_deg), degrees=True)
    by_hand = Rotation.from_euler(
        "xyz", chance.uniform(-2, 2, 3) * np.any(np.array(protocol.tilt_deg[:2])), degrees=True
    )
    return Acquisition(
        sequence=sequence,
        geometry=_grid(protocol, matrix_factor, (by_hand * tilt).as_matrix(), chance.uniform(-4, 4, 3)),
        gain=GAIN[site] * float(np.exp(0.1 * chance.standard_normal())),
        bias=chance.normal(0, 0.08, 6),
        noise=protocol.noise * (1 + 2 * difficulty),
        noise_seed=int(chance.integers(2**63)),
    )


def _grid(
    protocol: Protocol, matrix_factor: float, direction: NDArray[np.float64], centre_mm: NDArray[np.float64]
) -> Geometry:
    """The grid of `protocol` around `centre_mm`; `matrix_factor` refines it in plane within the same field of view."""
    matrix = max(round(protocol.matrix * matrix_factor), 8)
    size = np.array([matrix, matrix, protocol.slices])
    in_plane_mm = protocol.matrix * protocol.spacing_mm / matrix
    spacing = np.array([in_plane_mm, in_plane_mm, protocol.slice_mm])
    origin = centre_mm - direction @ (spacing * (size - 1) / 2)
    return Geometry(
        size_xyz=(matrix, matrix, protocol.slices),
        spacing_mm=(in_plane_mm, in_plane_mm, protocol.slice_mm),
        origin_mm=(float(origin[0]), float(origin[1]), float(origin[2])),
        direction=tuple(float(value) for value in direction.ravel()),
    )


def head_points(geometry: Geometry, pose: Pose) -> PointArrays:
    """Coordinates in the head (x, y, z in mm) of every voxel centre, each an array [z, y, x]."""
    into_head = pose.rotation.T
    steps = into_head @ np.array(geometry.direction).reshape(3, 3) * np.array(geometry.spacing_mm)
    start = into_head @ (np.array(geometry.origin_mm) - pose.shift_mm)
    nx, ny, nz = geometry.size_xyz
    k, j, i = np.ogrid[0:nz, 0:ny, 0:nx]
    x, y, z = ((start[a] + steps[a, 0] * i + steps[a, 1] * j + steps[a, 2] * k).astype(np.float32) for a in range(3))
    return x, y, z


def scan(anatomy: Anatomy, pose: Pose, acquisition: Acquisition) -> Volume:
    """Take the scan: intensities, times bias field and gain, with Rician noise, as int16."""
    points = head_points(acquisition.geometry, pose)
    if acquisition.sequence == CT:
        return _scan_ct(anatomy, points, acquisition)
    signal = anatomy.intensity(points, acquisition.sequence) * _bias_field(points, acquisition.bias)
    chance = np.random.default_rng(acquisition.noise_seed)
    sigma = np.float32(acquisition.noise)
    real = signal + sigma * chance.standard_normal(signal.shape, dtype=np.float32)
    magnitude = np.hypot(real, sigma * chance.standard_normal(signal.shape, dtype=np.float32))
    counts = np.clip(np.rint(magnitude * np.float32(_COUNTS_PER_UNIT * acquisition.gain)), 0, 32767)
    return Volume(counts.astype(np.int16), acquisition.geometry)


def _scan_ct(anatomy: Anatomy, points: PointArrays, acquisition: Acquisition) -> Volume:
    """In HU, with normal noise, as int16: no receiver has a gain or a bias there."""
    noise = np.random.default_rng(acquisition.noise_seed).standard_normal(points[0].shape, dtype=np.float32)
    values = anatomy.intensity(points, CT) + np.float32(1000 * acquisition.noise) * noise
    return Volume(np.clip(np.rint(values), -1024, 3071).astype(np.int16), acquisition.geometry)


def outline(anatomy: Anatomy, pose: Pose, geometry: Geometry) -> Volume:
    """The manual ROI: voxels of `geometry` whose centre lies in a tumour, as bool."""
    points = head_points(geometry, pose)
    inside = [tumour.depth_mm(points) > 0 for tumour in anatomy.tumours]
    return Volume(np.logical_or.reduce(inside), geometry)


def _bias_field(points: PointArrays, weights: NDArray[np.float64]) -> Array:
    """A smooth gain around 1: the exponential of a quadratic in position."""
    x, y, z = (point * np.float32(0.01) for point in points)
    log_gain: Array = np.zeros(x.shape, np.float32)
    for weight, term in zip(weights.astype(np.float32), (x, y, z, x * x, y * y, x * y), strict=True):
        log_gain += weight * term
    return np.exp(log_gain)
