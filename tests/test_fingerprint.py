"""The fingerprint: known phantoms give known numbers, and nothing outside the training cohort reaches it."""

import os
from collections.abc import Callable
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from autodls.errors import AutoDLSError, DatasetError
from autodls.imaging.foreground import every_nth, foreground
from autodls.imaging.geometry import Geometry, Volume
from autodls.imaging.inside import shown_share, tumour_box
from autodls.parallel import map_parallel, no_advance
from autodls.planning.fingerprint import extract_fingerprint, inputs_sha256, quantiles
from autodls.planning.tumour import extent_mm, part_volumes_ml, volume_ml
from autodls.records.cohort import read_cohort
from autodls.records.fingerprint import Fingerprint

Make = Callable[..., Path]
Edit = Callable[..., None]


def block(size_xyz: tuple[int, int, int], spacing_mm: tuple[float, float, float]) -> Volume:
    """A tumour that fills a block of `size_xyz` voxels two voxels off every border."""
    x, y, z = size_xyz
    return Volume(np.pad(np.ones((z, y, x), dtype=bool), 2), Geometry((x + 4, y + 4, z + 4), spacing_mm))


# The tumour


def test_size_of_a_block() -> None:
    roi = block((3, 5, 2), (1.0, 2.0, 6.0))
    assert extent_mm(roi) == {"axial": 10.0, "coronal": 12.0, "sagittal": 12.0}
    assert volume_ml(roi) == pytest.approx(3 * 10 * 12 / 1000)
    assert part_volumes_ml(roi) == (volume_ml(roi),)


def test_extent_is_that_of_the_largest_plane() -> None:
    array = np.zeros((6, 20, 20), dtype=bool)
    array[1, 5:9, 5:9] = True
    array[4, 3, :15] = True  # longer, but of a smaller area
    assert extent_mm(Volume(array, Geometry((20, 20, 6), (1.0, 1.0, 1.0))))["axial"] == 4.0


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("signs", list(product((1, -1), repeat=3)))
def test_planes_are_those_of_the_body(order: tuple[int, ...], signs: tuple[int, ...]) -> None:
    roi = block((3, 5, 2), (1.0, 2.0, 6.0))
    direction = np.zeros((3, 3))
    for index, body in enumerate(order):
        direction[body, index] = signs[index]
    zyx = [2 - order[2 - axis] for axis in range(3)]  # index axis i runs along body axis order[i]
    turned = np.ascontiguousarray(roi.array.transpose(zyx))
    spacing = tuple(roi.geometry.spacing_mm[body] for body in order)
    size = tuple(roi.geometry.size_xyz[body] for body in order)
    grid = Geometry(
        (size[0], size[1], size[2]), (spacing[0], spacing[1], spacing[2]), direction=tuple(direction.ravel())
    )
    assert extent_mm(Volume(turned, grid)) == extent_mm(roi)


def test_components_touch_at_corners() -> None:
    array = np.zeros((3, 6, 6), dtype=bool)
    array[0, 0, 0] = array[1, 1, 1] = array[2, 5, 5] = True
    assert part_volumes_ml(Volume(array, Geometry((6, 6, 3), (1.0, 1.0, 1.0)))) == (0.002, 0.001)


def test_extent_and_parts_of_a_multifocal_tumour() -> None:
    """The crop is centred on the largest part: how far another lies away must not widen it."""
    array = np.zeros((12, 20, 120), dtype=bool)
    array[4:8, 4:10, 4:12] = True
    array[9, 15:17, 100:102] = True
    roi = Volume(array, Geometry((120, 20, 12), (1.0, 1.0, 2.0)))
    assert extent_mm(roi) == {"axial": 8.0, "coronal": 8.0, "sagittal": 8.0}
    assert part_volumes_ml(roi) == (0.384, 0.008)
    assert volume_ml(roi) == pytest.approx(0.392)


@pytest.mark.parametrize(("shift_mm", "share"), [(0.0, 1.0), (18.0, 1.0), (22.0, 14 / 18), (100.0, 0.0)])
def test_share_that_an_image_shows(shift_mm: float, share: float) -> None:
    roi = block((18, 10, 10), (1.0, 1.0, 1.0))
    image = Geometry((40, 40, 40), (1.0, 1.0, 1.0), (shift_mm - 16.0, -10.0, -10.0))
    assert shown_share(tumour_box(roi), image) == pytest.approx(share)


# Bounded cost


@given(st.integers(1, 5000), st.integers(1, 300))
def test_every_nth_is_bounded(size: int, most: int) -> None:
    chosen = every_nth(np.arange(size), most)
    assert 1 <= chosen.size <= most


def test_every_nth_never_follows_a_column() -> None:
    columns = np.tile(np.arange(256), 256 * 4)
    assert np.unique(every_nth(columns, 1024)).size > 200


def test_foreground_leaves_air_out() -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(0, 5, (20, 50, 50)).astype(np.float32)
    image[5:15, 10:40, 10:40] += 500
    assert foreground(image).min() > 400
    assert foreground(np.full((4, 4, 4), 3, dtype=np.float32)).size == 64


# The record


@pytest.fixture
def folder(make_dataset: Make, tmp_path: Path) -> Path:
    """Four training cases, one without T2WI, and two held-out ones."""
    return make_dataset(tmp_path, missing=(("case_01", "T2WI"),))


def extract(folder: Path, workers: int = 1) -> Fingerprint:
    """The fingerprint of a folder."""
    return extract_fingerprint(read_cohort(folder), workers)


def test_phantom(folder: Path) -> None:
    done: list[str] = []
    found = extract_fingerprint(read_cohort(folder), 1, done.append)
    assert done == ["case_00", "case_01", "case_02", "case_03"]
    assert (found.dataset, found.roi_channel) == ("tiny", "CE-T1WI")
    assert (found.cases, found.patients, found.positives, found.sites) == (4, 4, 2, {"A": 2, "B": 2})
    first, second = found.sequences["CE-T1WI"], found.sequences["T2WI"]
    assert (first.cases, first.share_missing, second.cases, second.share_missing) == (4, 0.0, 3, 0.25)
    assert (first.same_grid_as_roi, second.same_grid_as_roi) == (1.0, 0.0)
    assert (first.overlap_with_roi, second.overlap_with_roi) == (1.0, 1.0)
    assert first.spacing_mm is not None
    assert first.shape is not None
    assert [axis.median for axis in first.spacing_mm] == [2.0, 2.0, 5.0]
    assert [axis.maximum for axis in first.shape] == [28, 24, 10]
    assert first.obliqueness_deg is not None
    assert second.obliqueness_deg is not None
    assert first.obliqueness_deg.maximum == 0.0
    assert second.obliqueness_deg.minimum == pytest.approx(10.0, abs=1e-3)


def test_intensities_of_head_and_tumour(folder: Path) -> None:
    """The head is 1000, the tumour 600 or 1400, also where the sequence lies on an oblique grid of its own."""
    for sequence in extract(folder).sequences.values():
        assert sequence.foreground_percentiles is not None
        assert sequence.roi_percentiles is not None
        assert sequence.foreground_percentiles["50"].median == pytest.approx(1000, abs=15)
        assert sequence.roi_percentiles["50"].minimum == pytest.approx(600, abs=15)
        assert sequence.roi_percentiles["50"].maximum == pytest.approx(1400, abs=15)


def test_tumour_of_the_phantom(folder: Path) -> None:
    tumour = extract(folder).tumour
    assert 12 <= tumour.extent_mm["axial"].minimum <= tumour.extent_mm["axial"].maximum <= 22
    assert 4 / 3 * np.pi * 0.6**3 < tumour.volume_ml.minimum < tumour.volume_ml.maximum < 4 / 3 * np.pi * 1.1**3
    assert tumour.components.maximum == 1


def test_workers_do_not_change_it(folder: Path) -> None:
    assert extract(folder, 1).to_bytes() == extract(folder, 2).to_bytes()


def test_it_survives_its_file(folder: Path, tmp_path: Path) -> None:
    found = extract(folder)
    found.save(tmp_path / "f.json")
    assert Fingerprint.load(tmp_path / "f.json", "run `autodls plan`") == found


# Walls


def test_held_out_images_are_never_opened(folder: Path) -> None:
    before = extract(folder)
    for path in [*folder.glob("*Tr/case_04*"), *folder.glob("*Tr/case_05*")]:
        path.write_bytes(b"not an image")
    assert extract(folder).to_bytes() == before.to_bytes()


def test_held_out_rows_change_no_byte(folder: Path, edit_table: Edit) -> None:
    before = extract(folder)
    edit_table(folder, "case_04", cps="0", age="1", pfs_months="-3")
    edit_table(folder, "case_05", cps="not known", site="Z")
    assert extract(folder).to_bytes() == before.to_bytes()


def test_a_training_label_or_image_does_change_it(folder: Path, edit_table: Edit) -> None:
    before = extract(folder)
    edit_table(folder, "case_00", cps="3")
    relabelled = extract(folder)
    assert relabelled.cohort_sha256 != before.cohort_sha256
    assert relabelled.inputs_sha256 == before.inputs_sha256
    path = folder / "labelsTr" / "case_00.nii.gz"
    sitk.WriteImage(sitk.ReadImage(str(path)) * 0 + 1, str(path))
    assert extract(folder).inputs_sha256 != before.inputs_sha256


def test_inputs_are_hashed_alike(folder: Path) -> None:
    training = read_cohort(folder).training
    assert inputs_sha256(training[::-1]) == extract(folder).inputs_sha256


def test_an_unlabelled_case_is_not_measured(folder: Path, edit_table: Edit) -> None:
    edit_table(folder, "case_03", cps="")
    (folder / "labelsTr" / "case_03.nii.gz").unlink()
    assert extract(folder).cases == 3


# Faults


@pytest.mark.parametrize("workers", [1, 2])
def test_no_roi(folder: Path, workers: int) -> None:
    (folder / "labelsTr" / "case_02.nii.gz").unlink()
    with pytest.raises(DatasetError, match="case case_02: no ROI; training needs the tumour drawn on CE-T1WI"):
        extract(folder, workers)


def test_empty_roi(folder: Path) -> None:
    path = folder / "labelsTr" / "case_02.nii.gz"
    sitk.WriteImage(sitk.ReadImage(str(path)) * 0, str(path))
    with pytest.raises(DatasetError, match=r"case case_02: .*the ROI is empty"):
        extract(folder)


def test_roi_on_another_grid(folder: Path) -> None:
    path = folder / "labelsTr" / "case_02.nii.gz"
    whole, image = extract(folder), sitk.ReadImage(str(path))
    sitk.WriteImage(image[1:], str(path))  # the same voxels without an empty margin
    assert extract(folder).sequences == whole.sequences
    image.SetSpacing([2.1, 2.0, 5.0])
    sitk.WriteImage(image, str(path))
    with pytest.raises(DatasetError, match=r"case case_02: .*on another grid"):
        extract(folder)


@pytest.mark.parametrize(
    ("status", "said"),
    [(3, "ended of itself, with status 3; .*workers=1"), (-9, "was killed, perhaps for want of memory")],
)
def test_worker_that_ends_is_named_and_memory_only_where_it_may_be_the_cause(status: int, said: str) -> None:
    with pytest.raises(AutoDLSError, match=f"one of 2 worker processes .*{said}"):
        map_parallel(_die, [status, status], ["a", "b"], 2, no_advance)


def _die(status: int) -> None:
    if status < 0:
        os.kill(os.getpid(), -status)
    os._exit(status)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_quantiles_are_ordered(values: list[float]) -> None:
    spread = quantiles(values)
    ordered = [spread.minimum, spread.p5, spread.median, spread.p95, spread.maximum]
    assert ordered == sorted(ordered)
    assert (spread.minimum, spread.maximum) == (min(values), max(values))


# Real images


def test_real_gliomas(shared_data: Path) -> None:
    found = extract(shared_data / "lgg_ht")
    assert (found.cases, found.positives, found.sites) == (34, 27, {"HT": 34})
    assert {name: sequence.cases for name, sequence in found.sequences.items()} == {
        "T1WI": 30,
        "FLAIR": 34,
        "CE-T1WI": 30,
    }
    assert 10 < found.tumour.extent_mm["axial"].median < 120
    assert found.tumour.multifocal == 4
    assert found.tumour.share_beside_largest is not None and 0 < found.tumour.share_beside_largest.maximum < 0.05


def test_real_sarcomas(sts8_dataset: Path) -> None:
    found = extract(sts8_dataset)
    mr, pet = found.sequences["T1WI"], found.sequences["PET"]
    assert mr.spacing_mm is not None
    assert pet.spacing_mm is not None
    assert [round(axis.median, 2) for axis in mr.spacing_mm] == [0.98, 0.98, 3.27]
    assert 3.9 <= pet.spacing_mm[0].minimum <= pet.spacing_mm[0].maximum < 5.5
    assert (mr.same_grid_as_roi, pet.same_grid_as_roi) == (1.0, 0.0)
    assert (found.cases, found.positives) == (8, 4)
