"""Datasets for tests: small phantoms written on the spot, and real images where they are at hand."""

import csv
import json
import os
import random
import shutil
import sys
import tarfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tiny_segmentation import SegmentedStudy

hypothesis.settings.register_profile("autodls", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("autodls")

SIZE_XYZ = (28, 24, 10)
SPACING_MM = (2.0, 2.0, 5.0)
_TILT = np.deg2rad(10.0)
_OBLIQUE = (1.0, 0.0, 0.0, 0.0, np.cos(_TILT), -np.sin(_TILT), 0.0, np.sin(_TILT), np.cos(_TILT))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real images; the test is skipped where it is absent."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("AUTODLS_TEST_DATA", beside))
    if not (folder / "lgg_ht" / "dataset.json").is_file():
        pytest.skip(f"no real images at {folder}; set AUTODLS_TEST_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def real_dicom(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real DICOM of `shared_data`, each archive unpacked into a folder of its name."""
    folder = tmp_path_factory.mktemp("real")
    for path in sorted((shared_data / "dicom").glob("*.tar.xz")):
        with tarfile.open(path) as archive:
            archive.extractall(folder / path.name.partition(".")[0], filter="data")
    return folder


@pytest.fixture(scope="session")
def dcm2niix() -> str:
    """The converter that ours is held against; the test is skipped where it is not installed."""
    return str(pytest.importorskip("dcm2niix").bin)


def _grid(channel: int) -> sitk.Image:
    """An empty image round the origin; the second channel is oblique and finer, the others are alike."""
    finer = channel == 1
    size = [2 * SIZE_XYZ[0], 2 * SIZE_XYZ[1], SIZE_XYZ[2]] if finer else list(SIZE_XYZ)
    image = sitk.Image(size, sitk.sitkFloat32)
    image.SetSpacing((1.0, 1.0, 5.0) if finer else SPACING_MM)
    if finer:
        image.SetDirection(_OBLIQUE)
    centre = image.TransformContinuousIndexToPhysicalPoint([(side - 1) / 2 for side in size])
    image.SetOrigin([-place for place in centre])
    return image


def _places_mm(image: sitk.Image) -> NDArray[np.float64]:
    """LPS mm of every voxel, [z, y, x, 3]."""
    index_xyz = np.moveaxis(np.indices(image.GetSize()[::-1])[::-1], 0, -1)
    direction = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    places: NDArray[np.float64] = index_xyz @ direction.T + image.GetOrigin()
    return places


def _write(path: Path, array: NDArray[np.float32] | NDArray[np.uint8], grid: sitk.Image) -> None:
    image = sitk.GetImageFromArray(array)
    image.CopyInformation(grid)
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))


def _write_case(folder: Path, case: str, positive: bool, channels: Iterable[int], rng: np.random.Generator) -> None:
    """A head of 1000, air of 0 and a ball of 600, or of 1400 where it is positive, with noise of 20."""
    centre_mm, radius_mm = rng.uniform(-6, 6, 3), rng.uniform(7, 10)
    for channel in channels:
        grid = _grid(channel)
        places = _places_mm(grid)
        image = np.where(np.linalg.norm(places / [1.0, 0.9, 1.0], axis=-1) < 21, 1000.0, 0.0)
        image[np.linalg.norm(places - centre_mm, axis=-1) < radius_mm] = 1400 if positive else 600
        noisy = (image + rng.normal(0, 20, image.shape)).astype(np.float32)
        _write(folder / "imagesTr" / f"{case}_{channel:04d}.nii.gz", noisy, grid)
    grid = _grid(0)
    roi = (np.linalg.norm(_places_mm(grid) - centre_mm, axis=-1) < radius_mm).astype(np.uint8)
    _write(folder / "labelsTr" / f"{case}.nii.gz", roi, grid)


@pytest.fixture(autouse=True)
def shapes_of_real_networks() -> None:
    """Forget what shapes weights must have: another test may have made the networks smaller."""
    if (weights := sys.modules.get("autodls.training.weights")) is not None:
        weights._expected_shapes.cache_clear()


@pytest.fixture(scope="session")
def make_dataset() -> Callable[..., Path]:
    """Writes a small dataset: `make_dataset(tmp_path, training=6, held_out=2, sequences=(...), missing=(...))`.

    Cases are case_00, case_01, ...; the last `held_out` are of cohort "external". Even ones are positive (cps 30),
    odd ones negative (cps 5). The ROI is drawn on the first sequence; `missing` names (case, sequence) without a file.
    """

    def make(
        folder: Path,
        *,
        training: int = 4,
        held_out: int = 2,
        sequences: tuple[str, ...] = ("CE-T1WI", "T2WI"),
        missing: tuple[tuple[str, str], ...] = (),
        seed: int = 0,
    ) -> Path:
        rows = []
        for number in range(training + held_out):
            case, positive = f"case_{number:02d}", number % 2 == 0
            channels = [index for index, sequence in enumerate(sequences) if (case, sequence) not in missing]
            _write_case(folder, case, positive, channels, np.random.default_rng((seed, number)))
            rows.append(
                {
                    "case": case,
                    "patient_id": f"patient_{number:02d}",
                    "site": "AB"[number // 2 % 2],
                    "cohort": "train" if number < training else "external",
                    "cps": "30" if positive else "5",
                    "pfs_months": f"{4 + number}",
                    "pfs_event": f"{number % 2}",
                    "age": f"{50 + number}",
                }
            )
        _write_rows(folder / "clinical.csv", rows)
        (folder / "dataset.json").write_text(json.dumps(_description(sequences, training)))
        return folder

    return make


def _description(sequences: tuple[str, ...], training: int) -> dict[str, object]:
    return {
        "name": "tiny",
        "channel_names": {str(index): name for index, name in enumerate(sequences)},
        "labels": {"background": 0, "tumour": 1},
        "numTraining": training,
        "file_ending": ".nii.gz",
        "autodls": {
            "roi_channel": sequences[0],
            "patient": "patient_id",
            "site": "site",
            "cohort": {"column": "cohort", "training": ["train"]},
            "target": {"name": "PD-L1 high", "column": "cps", "positive": ">= 20"},
            "survival": {"time": "pfs_months", "event": "pfs_event", "unit": "months", "landmark": 6},
            "clinical": ["age"],
        },
    }


def _write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def edit_table() -> Callable[..., None]:
    """Changes cells of one case in a dataset's table: `edit_table(folder, "case_00", cps="")`."""

    def edit(folder: Path, case: str, /, **cells: str) -> None:
        path = folder / "clinical.csv"
        with path.open(newline="", encoding="utf-8") as handle:
            rows = list(csv.DictReader(handle))
        _write_rows(path, [row | cells if row["case"] == case else row for row in rows])

    return edit


@pytest.fixture
def sts8_dataset(tmp_path: Path, shared_data: Path) -> Path:
    """Eight real sarcomas in the dataset format: MR T1 and PET, ROI on the MR grid, lung metastases as target."""
    source, folder = shared_data / "sts8", tmp_path / "sts8"
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    for case in sorted(path.name for path in source.iterdir() if path.is_dir()):
        shutil.copyfile(source / case / "MR_T1_image.nii.gz", folder / "imagesTr" / f"{case}_0000.nii.gz")
        shutil.copyfile(source / case / "PET_image.nii.gz", folder / "imagesTr" / f"{case}_0001.nii.gz")
        shutil.copyfile(source / case / "MR_T1_mask.nii.gz", folder / "labelsTr" / f"{case}.nii.gz")
    shutil.copyfile(source / "clinical.csv", folder / "clinical.csv")
    settings = {
        "case": "patient_id",
        "roi_channel": "T1WI",
        "target": {"name": "lung metastasis", "column": "lung_mets", "positive": "== 1"},
        "survival": {"time": "followup_days", "event": "death", "unit": "days"},
        "clinical": ["age", "sex", "grade"],
    }
    description = {
        "name": "sts8",
        "channel_names": {"0": "T1WI", "1": "PET"},
        "labels": {"background": 0, "tumour": 1},
        "numTraining": 8,
        "file_ending": ".nii.gz",
        "autodls": settings,
    }
    (folder / "dataset.json").write_text(json.dumps(description))
    return folder


@pytest.fixture(scope="session")
def segmented_study(tmp_path_factory: pytest.TempPathFactory) -> "SegmentedStudy":
    """A phantom cohort that `autodls segment fold all` has gone over, once for all tests; copy it to change it."""
    pytest.importorskip("nnunetv2", reason="nnU-Net is not installed: pip install 'autodls[segmentation]'")
    from tiny_segmentation import make_segmented_study

    return make_segmented_study(tmp_path_factory.mktemp("segmented"))


@pytest.fixture
def own_global_streams() -> Iterator[None]:
    """batchgenerators draws from the global streams of NumPy and Python."""
    before, before_python = np.random.get_state(), random.getstate()  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    random.seed(0)
    yield
    np.random.set_state(before)  # noqa: NPY002
    random.setstate(before_python)
