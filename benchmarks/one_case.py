"""A phantom case of full size, prepared by autodls, or by SimpleITK with full volumes; a process of its own for each.

    python benchmarks/one_case.py autodls FOLDER      python benchmarks/one_case.py SimpleITK FOLDER

Each imports what it needs and nothing else, and writes its pixels beside the case.
"""

import sys
from pathlib import Path

SEQUENCES = ("T1WI", "T2WI", "CE-T1WI")
SIZE_XYZ, SPACING_MM = (512, 512, 30), (0.5, 0.5, 5.0)
CROP_MM, SLICE_PX, PERCENTILES = 112.0, 256, (0.5, 99.5)


def write_case(folder: Path) -> None:
    """Three sequences of 16-bit integers, the second oblique, an ROI on the third, and the plan."""
    import numpy as np
    from scipy import ndimage
    from scipy.spatial.transform import Rotation

    from autodls.imaging.geometry import Geometry, Volume
    from autodls.imaging.volumes import write_volume

    oblique = Rotation.from_rotvec(np.radians([12, 0, 5])).as_matrix()
    reach_mm = (np.array(SIZE_XYZ) - 1) / 2 * SPACING_MM
    chance = np.random.default_rng(0)
    for number, sequence in enumerate(SEQUENCES):
        cosines = oblique if number == 1 else np.eye(3)
        grid = Geometry(SIZE_XYZ, SPACING_MM, tuple((-cosines @ reach_mm).tolist()), tuple(cosines.ravel().tolist()))
        places = grid.index_to_physical(np.moveaxis(np.indices(SIZE_XYZ), 0, -1).transpose(2, 1, 0, 3))
        inside = ((places / (90, 110, 100)) ** 2).sum(axis=-1) < 1
        texture = ndimage.gaussian_filter(chance.normal(size=inside.shape), (0.4, 1, 1))
        image = inside * (600 + 120 * texture / texture.std()) + np.abs(chance.normal(size=inside.shape) * 8)
        write_volume(folder / f"{sequence}.nii.gz", Volume(np.clip(image, 0, 4000).astype(np.int16), grid))
    tumour = (((places - (10, -20, 5)) / (14, 17, 20)) ** 2).sum(axis=-1) < 1
    write_volume(folder / "roi.nii.gz", Volume(tumour, grid))
    (folder / "plan.json").write_text(plan().model_dump_json())


def plan():
    """The settings that both follow."""
    from autodls.records.preprocessing_plan import IntensityPlan, PreprocessingPlan

    return PreprocessingPlan(
        roi_channel=SEQUENCES[-1],
        registration="geometry",
        spacing_mm=1.0,
        crop_mm=CROP_MM,
        slice_size_px=SLICE_PX,
        input_size_px=224,
        intensity={name: IntensityPlan(scheme="zscore", clip_percentiles=PERCENTILES) for name in SEQUENCES},
    )


def by_autodls(folder: Path) -> None:
    """What `autodls preprocess` does with a case."""
    from autodls.preprocessing.case import prepare_case
    from autodls.preprocessing.store import save_sample
    from autodls.records.preprocessing_plan import PreprocessingPlan

    settings = PreprocessingPlan.model_validate_json((folder / "plan.json").read_bytes())
    images = {name: folder / f"{name}.nii.gz" for name in SEQUENCES}
    sample = prepare_case("phantom", images, folder / "roi.nii.gz", frozenset({1}), settings)
    save_sample(folder / "autodls.safetensors", sample)


def as_a_command(folder: Path) -> None:
    """The same in a process that begins as those of autodls do."""
    from autodls.machine import tune_process

    tune_process()
    by_autodls(folder)


def by_simpleitk(folder: Path) -> None:
    """The same with full volumes: resample all to 1 mm, find the planes of largest area, crop, normalise, resize."""
    import numpy as np
    import SimpleITK as sitk

    roi = sitk.ReadImage(str(folder / "roi.nii.gz"))
    size = [max(1, round(count * step)) for count, step in zip(roi.GetSize(), roi.GetSpacing(), strict=True)]
    grid = (size, sitk.Transform())
    place = (roi.GetOrigin(), (1.0, 1.0, 1.0), roi.GetDirection())
    tumour = sitk.GetArrayFromImage(sitk.Resample(roi, *grid, sitk.sitkNearestNeighbor, *place, 0)) > 0
    read = [sitk.ReadImage(str(folder / f"{name}.nii.gz"), sitk.sitkFloat32) for name in SEQUENCES]
    full = [sitk.GetArrayFromImage(sitk.Resample(image, *grid, sitk.sitkBSpline, *place, np.nan)) for image in read]
    sections = [_section(tumour, axis) for axis in (0, 2, 1)]
    pixels = [
        _normalised(np.stack([volume[section] for section in sections]), sitk.GetArrayViewFromImage(image))
        for image, volume in zip(read, full, strict=True)
    ]
    np.save(folder / "simpleitk.npy", np.stack(pixels))


def _section(tumour, normal: int):
    """Where the crop of the plane of largest area lies; planes that are not axial are shown from above.

    Of planes of one area the middle acquired slice is taken, the lower of two.
    """
    import numpy as np

    side = round(CROP_MM)
    across = tuple(axis for axis in range(3) if axis != normal)
    section: list = [0, 0, 0]
    areas = tumour.sum(axis=across)
    tied = np.flatnonzero(areas == areas.max())
    thickness_mm = SPACING_MM[2 - normal]
    taken = np.unique(np.floor(tied / thickness_mm + 0.5))
    section[normal] = int(tied[np.abs(tied - taken[(len(taken) - 1) // 2] * thickness_mm).argmin()])
    in_plane = tumour.take(section[normal], axis=normal)
    for place, axis in enumerate(across):
        reached = np.flatnonzero(in_plane.any(axis=1 - place))
        first = int(reached[0] + reached[-1] - side + 1) // 2
        section[axis] = slice(first, first + side)
    if normal != 0:
        section[0] = slice(section[0].stop - 1, section[0].start - 1, -1)
    return tuple(section)


def _normalised(samples, volume):
    """Clipped to percentiles of the foreground, z-scored and resized."""
    import numpy as np
    import SimpleITK as sitk

    from autodls.imaging.foreground import foreground

    clipped = np.clip(samples, *np.percentile(foreground(volume), PERCENTILES))
    scored = np.nan_to_num((clipped - np.nanmean(clipped)) / np.nanstd(clipped)).astype(np.float32)
    step = len(scored[0]) / SLICE_PX
    grid = ([SLICE_PX] * 2, sitk.Transform(), sitk.sitkLinear, [(step - 1) / 2] * 2, [step] * 2)
    resized = [sitk.Resample(sitk.GetImageFromArray(picture), *grid) for picture in scored]
    return np.stack([sitk.GetArrayFromImage(picture) for picture in resized])


if __name__ == "__main__":
    if len(sys.argv) != 3:  # without argparse, whose import would be part of what is measured
        print(__doc__)
        sys.exit(0 if {"-h", "--help"} & set(sys.argv) else 2)
    {"phantom": write_case, "autodls": as_a_command, "SimpleITK": by_simpleitk}[sys.argv[1]](Path(sys.argv[2]))
