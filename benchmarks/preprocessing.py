"""Preparing one case of full size, beside its peers and beside the time that unpacking its files takes.

    python benchmarks/preprocessing.py [--rounds 3]        (pip install torchio isal deflate for all the lines)

Whole processes: ours and SimpleITK, from the files to the stored sample. In one process, imports excluded: ours beside
libraries that resample the three sequences to 1 mm and would then cut the planes out. Every peer's voxels are compared
with ours before its time is believed.
"""

import argparse
import gzip
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from side_by_side import OURS, Usage, in_process, interleaved, machine, show, whole_process

TOLERANCE = 1e-5  # of the range, against SimpleITK
PEER_TOLERANCE = 1e-3  # of the range, inside the volume: peers compute in float32 and treat the border in other ways
BORDER_VOXELS = 50  # ten slices
ONE_CASE = str(Path(__file__).with_name("one_case.py"))


def whole_processes(folder: Path, rounds: int) -> bool:
    """Ours and SimpleITK from start to end."""
    usages = interleaved({name: whole_process(ONE_CASE, name, str(folder)) for name in (OURS, "SimpleITK")}, rounds)
    difference = _difference(folder)
    agrees = difference < TOLERANCE
    note = f"{'agrees' if agrees else 'DIFFERS'}: {difference:.1e} of the range"
    show("One case, whole process", usages, {"SimpleITK": note})
    return agrees


def _difference(folder: Path) -> float:
    import numpy as np

    from autodls.preprocessing.store import load_sample

    ours, theirs = load_sample(folder / "autodls.safetensors").pixels, np.load(folder / "simpleitk.npy")
    return max(float(np.abs(a - b).max() / np.ptp(b)) for a, b in zip(ours, theirs, strict=True))


def monai_resampled(path: Path):
    """MONAI's dictionary transforms, cubic spline."""
    from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged, Spacingd

    spacing = Spacingd("image", (1.0, 1.0, 1.0), mode=3, padding_mode="mirror")
    image = Compose([LoadImaged("image"), EnsureChannelFirstd("image"), spacing])({"image": str(path)})["image"]
    return image[0].numpy().T, image.affine.numpy()


def torchio_resampled(path: Path):
    """TorchIO, B-spline."""
    import torchio

    image = torchio.Resample((1.0, 1.0, 1.0), image_interpolation="bspline")(torchio.ScalarImage(path))
    return image.data[0].numpy().T, image.affine


def nnunet_resampled(path: Path):
    """nnU-Net's default: cubic in the slices; nearest across them, as they are thick."""
    import numpy as np
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
    from nnunetv2.preprocessing.resampling.default_resampling import compute_new_shape, resample_data_or_seg_to_shape

    image, properties = SimpleITKIO().read_images([str(path)])
    shape = compute_new_shape(image.shape[1:], properties["spacing"], (1.0, 1.0, 1.0))
    resampled = resample_data_or_seg_to_shape(
        image, shape, properties["spacing"], (1.0, 1.0, 1.0), is_seg=False, order=3, order_z=0, force_separate_z=None
    )
    scale = np.array(image.shape[:0:-1]) / np.array(shape[::-1])
    return np.asarray(resampled[0]), _ras(path, scale, (scale - 1) / 2)


def scipy_resampled(path: Path):
    """SciPy, cubic spline, first voxel kept."""
    import numpy as np
    from scipy import ndimage

    from autodls.imaging.volumes import read_volume

    volume = read_volume(path)
    scale = 1.0 / np.array(volume.geometry.spacing_mm)
    shape = np.round(np.array(volume.array.shape) / scale[::-1]).astype(int)
    array = volume.array.astype(np.float32)
    resampled = ndimage.affine_transform(array, scale[::-1], output_shape=tuple(shape), order=3, mode="mirror")
    return resampled, _ras(path, scale, np.zeros(3))


def _ras(path: Path, scale, first):
    """Affine, in RAS as NIfTI has it, of a grid whose voxels lie at first + scale * index of the image's."""
    import numpy as np

    from autodls.imaging.volumes import read_geometry

    to_image = np.eye(4)
    to_image[:3, :3], to_image[:3, 3] = np.diag(scale), first
    return np.diag([-1, -1, 1, 1]) @ read_geometry(path).affine @ to_image


PEERS = {
    "MONAI Spacingd, order 3": ("monai", monai_resampled),
    "TorchIO Resample, bspline": ("torchio", torchio_resampled),
    "nnU-Net, default resampling": ("nnunetv2", nnunet_resampled),
    "scipy.ndimage, order 3": ("scipy", scipy_resampled),
}


def agrees_with_ours(path: Path, resampled, affine_ras) -> tuple[bool, str]:
    """Whether our samples at voxels of a peer's volume, away from its border, have the peer's values."""
    import numpy as np

    from autodls.imaging.geometry import transform_points
    from autodls.imaging.volumes import read_volume
    from autodls.preprocessing.sampling import sample_points

    volume = read_volume(path)
    size = np.array(resampled.shape[::-1])
    index = np.random.default_rng(0).uniform(BORDER_VOXELS, size - BORDER_VOXELS, (4000, 3)).astype(int)
    affine = np.diag([-1, -1, 1, 1]) @ affine_ras
    places = volume.geometry.physical_to_index(transform_points(affine, index))
    nearest = places.copy()
    nearest[:, 2] = np.floor(places[:, 2] + 0.5)
    low, high = volume.array.min(), volume.array.max()  # one of the peers clips to them
    found = np.clip(resampled[tuple(index.T[::-1])], low, high)
    samples = [sample_points(volume, volume.geometry.index_to_physical(at)) for at in (places, nearest)]
    shares = [float(np.nanmax(np.abs(np.clip(ours, low, high) - found)) / np.ptp(volume.array)) for ours in samples]
    share, agrees = min(shares), min(shares) < PEER_TOLERANCE
    kind = "" if shares[0] == share else ", nearest across slices"
    return agrees, f"{'agrees' if agrees else 'DIFFERS'}: {share:.0e} of the range{kind}"


def in_one_process(folder: Path, rounds: int) -> bool:
    """Ours beside libraries that resample every sequence as a whole, and beside unpacking the files."""
    from one_case import SEQUENCES, by_autodls

    paths = [folder / f"{name}.nii.gz" for name in SEQUENCES]
    competitors: dict[str, Callable[[], Usage]] = {OURS: in_process(partial(by_autodls, folder))}
    notes, agreed = {}, True
    for name, (module, resampled) in PEERS.items():
        if find_spec(module) is None:
            print(f"{module} is not installed: '{name}' is left out")
            continue
        agrees, notes[name] = agrees_with_ours(paths[1], *resampled(paths[1]))
        agreed = agreed and agrees
        competitors[name] = in_process(partial(resample_all, resampled, paths))
    show("One case in one process, imports excluded", interleaved(competitors, rounds), notes)
    return agreed


def resample_all(resampled: Callable[[Path], object], paths: list[Path]) -> list[object]:
    """One after the other; all are kept."""
    return [resampled(path) for path in paths]


def unpack_all(unpack: Callable[[bytes], object], paths: list[Path]) -> list[object]:
    """One after the other; all are kept."""
    return [unpack(path.read_bytes()) for path in paths]


def beside_the_floor(folder: Path, rounds: int) -> bool:
    """Ours beside unpacking the same files, by the fastest libraries there are."""
    from one_case import SEQUENCES, by_autodls

    paths = [folder / f"{name}.nii.gz" for name in (*SEQUENCES, "roi")]
    unpackers = {"gunzip, zlib": gzip.decompress}
    for name, module, function in (("isal", "isal.igzip", "decompress"), ("libdeflate", "deflate", "gzip_decompress")):
        if find_spec(module.partition(".")[0]) is None:
            print(f"{module} is not installed: its line is left out")
        else:
            unpackers[f"gunzip, {name}"] = getattr(import_module(module), function)
    unpacked = {bytes(unpack(paths[0].read_bytes())) for unpack in unpackers.values()}
    competitors = {OURS: in_process(partial(by_autodls, folder))}
    for name, unpack in unpackers.items():
        competitors[name] = in_process(partial(unpack_all, unpack, paths))
    show("Unpacking alone", interleaved(competitors, 4 * rounds), {})
    return len(unpacked) == 1


def main() -> int:
    """Run all; exit status 1 where results differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole_process(ONE_CASE, "phantom", name)()
        stages = (whole_processes, beside_the_floor, in_one_process)
        agreed = [stage(folder, rounds) for stage in stages]
    return 0 if all(agreed) else 1


if __name__ == "__main__":
    sys.exit(main())
