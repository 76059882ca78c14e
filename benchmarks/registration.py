"""Rigid registration of one sequence, beside SimpleITK's usual recipe: time, and error where the motion is known.

    python benchmarks/registration.py [--rounds 1] [--motions 4]

A phantom head in one contrast at 0.5 x 0.5 x 5 mm is registered to itself in another contrast, scanned after a known
motion. The peer: Mattes mutual information, three levels, 1 % of the voxels, full resolution at the last level. The
error is the largest distance, over points of the middle half of the volume, from where they should come to lie.
"""

import argparse
import statistics
import sys
from functools import partial

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from side_by_side import OURS, Usage, in_process, interleaved, machine, show

from autodls.imaging.geometry import Geometry, Volume, transform_points
from autodls.imaging.itk import to_sitk
from autodls.imaging.registration import register_rigid
from autodls.imaging.threads import one_thread

SIZE_XYZ, SPACING_MM = (384, 384, 30), (0.5, 0.5, 5.0)
MOST_DEG, MOST_MM = 5.0, 6.0
PEER = "SimpleITK, 3 levels, 1 %"
Matrix = NDArray[np.float64]


def grid() -> Geometry:
    """A grid around the origin."""
    return Geometry(SIZE_XYZ, SPACING_MM, tuple(-(np.array(SIZE_XYZ) - 1) / 2 * SPACING_MM))


def scan(motion: Matrix, contrast: float, chance: np.random.Generator) -> Volume:
    """The head after `motion` [4, 4], with noise; a negative `contrast` turns the order of its tissues round."""
    index = np.moveaxis(np.indices(SIZE_XYZ[::-1])[::-1], 0, -1)
    back = np.asarray(np.linalg.inv(motion), dtype=np.float64)
    x, y, z = np.moveaxis(transform_points(back, grid().index_to_physical(index)), -1, 0)
    head = (x / 75) ** 2 + (y / 88) ** 2 + (z / 90) ** 2 < 1
    tissue = np.cos(x / 11) * np.cos(y / 13 + 0.3) + np.sin(z / 15 + x / 30) + (np.hypot(x - 20, y + 24) < 20)
    image = head * (5 + contrast * tissue) + 0.2 * chance.normal(size=head.shape)
    return Volume((100 * image).astype(np.float32), grid())


def random_motion(chance: np.random.Generator) -> Matrix:
    """Up to 5 degrees about any axis and up to 6 mm in any direction."""
    axis, direction = (vector / np.linalg.norm(vector) for vector in chance.normal(size=(2, 3)))
    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_rotvec(np.radians(chance.uniform(1, MOST_DEG)) * axis).as_matrix()
    motion[:3, 3] = chance.uniform(1, MOST_MM) * direction
    return motion


def by_simpleitk(fixed: Volume, moving: Volume) -> Matrix:
    """The recipe of SimpleITK's own examples."""
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(50)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(0.01, 1)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsGradientDescent(learningRate=1.0, numberOfIterations=100)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([4, 2, 1])
    method.SetSmoothingSigmasPerLevel([2, 1, 0])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    transform = sitk.Euler3DTransform()
    method.SetInitialTransform(transform, inPlace=True)
    with one_thread():
        method.Execute(to_sitk(fixed), to_sitk(moving))
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(transform.GetMatrix(), (3, 3))
    matrix[:3, 3] = transform.GetTranslation()
    return matrix


def by_autodls(fixed: Volume, moving: Volume) -> Matrix:
    """`register_rigid`; the identity where it refuses its own proposal."""
    return register_rigid(fixed, moving).matrix


def error_mm(found: Matrix, truth: Matrix) -> float:
    """Largest distance over the corners of the middle half of the volume."""
    points = grid().corners() / 2
    apart = transform_points(found, points) - transform_points(truth, points)
    return float(np.linalg.norm(apart, axis=1).max())


def main() -> int:
    """Run all; exit status 1 where ours errs more than the peer and more than half a millimetre."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--motions", type=int, default=4)
    asked = parser.parse_args()
    print(machine())
    chance = np.random.default_rng(0)
    fixed = scan(np.eye(4), 1.0, chance)
    registrations = {OURS: by_autodls, PEER: by_simpleitk}
    errors: dict[str, list[float]] = {name: [] for name in registrations}
    costs: dict[str, list[Usage]] = {name: [] for name in registrations}
    for _ in range(asked.motions):
        truth = random_motion(chance)
        moving = scan(truth, -0.8, chance)
        for name, register in registrations.items():
            errors[name].append(error_mm(register(fixed, moving), truth))
        competitors = {name: in_process(partial(run, fixed, moving)) for name, run in registrations.items()}
        for name, usage in interleaved(competitors, asked.rounds).items():
            costs[name].append(usage)
    usages = {
        name: Usage(statistics.median(one.wall_s for one in found), statistics.median(one.cpu_s for one in found))
        for name, found in costs.items()
    }
    notes = {name: f"error {statistics.median(mm):.2f} mm, worst {max(mm):.2f} mm" for name, mm in errors.items()}
    show(f"Rigid registration, {asked.motions} known motions, one thread", usages, notes)
    worst = {name: max(mm) for name, mm in errors.items()}
    return 0 if worst[OURS] <= max(worst[PEER], 0.5) else 1


if __name__ == "__main__":
    sys.exit(main())
