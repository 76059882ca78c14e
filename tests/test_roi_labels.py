"""Which labels of a mask are the tumour: an organ never is, and nothing is guessed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_line import edit_json
from tiny_models import tiny_model

from autodls.errors import DatasetError
from autodls.imaging.geometry import Geometry, Volume
from autodls.imaging.volumes import read_labels, read_roi, write_volume
from autodls.inference.inputs import InputCase
from autodls.planning.check import check_dataset
from autodls.planning.fingerprint import extract_fingerprint
from autodls.records.cohort import read_cohort
from autodls.records.roi_labels import RoiLabels, is_organ, roi_labels, says_tumour

GRID = Geometry((4, 3, 2), (1.0, 1.0, 1.0))


@pytest.mark.parametrize(
    ("labels", "tumour", "others"),
    [
        ({"X": 1}, {1}, set()),
        ({"liver": 1}, {1}, set()),  # one label: what is drawn is what is meant
        ({"liver": 1, "cancer": 2}, {2}, {1}),  # Medical Segmentation Decathlon, task 3
        ({"Kidney": 1, "Tumor": 2}, {2}, {1}),  # KiTS19
        ({"Vessel": 1, "Tumour": 2}, {2}, {1}),  # Medical Segmentation Decathlon, task 8
        ({"left_lung": 1, "right lung": 2, "GTVp": 3, "GTV-N": 4}, {3, 4}, {1, 2}),
        ({"whole tumor": (1, 2, 3), "tumor core": (2, 3), "enhancing tumor": 3}, {1, 2, 3}, set()),  # BraTS regions
        ({"kidney": (1, 2), "tumor": 2}, {2}, {1}),
    ],
)
def test_labels_whose_names_say_it(
    labels: dict[str, int | tuple[int, ...]], tumour: set[int], others: set[int]
) -> None:
    found = roi_labels({"background": 0, **labels})
    assert (found, found.others) == (tumour, others)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({"a": 1, "b": 2}, r"labels 'a', 'b': no name says tumour; .* as \"tumor\": \[\"NAME\"\]"),
        ({"liver": 1, "spleen": 2}, "no name says tumour"),
        # BraTS, and panorama_labels: edema and a cyst may be counted as tumour or not
        ({"edema": 1, "tumor": 2}, r"'edema' may be a part of the tumour or not; .* as \"tumor\": \[\"tumor\"\]"),
        ({"kidney": 1, "tumor": 2, "kidney cyst": 3}, "'kidney cyst' may be"),
        ({"tumor": 1, "non-tumor": 2}, "'non-tumor' may be"),
        ({"liver and tumor": 1, "lesion": 2}, "'liver and tumor' may be"),
        ({"liver": 1, "liver tumor": (1, 2)}, r"'liver' \(\[1\]\) is tumour too"),
    ],
)
def test_what_cannot_be_told_must_be_given(labels: dict[str, int | tuple[int, ...]], said: str) -> None:
    with pytest.raises(DatasetError, match=said) as caught:
        roi_labels(labels)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "tumour", "others"),
    [(("tumor",), {2}, {1, 3}), (("tumor", "edema"), {1, 2}, {3}), (("edema", "tumor", "cyst"), {1, 2, 3}, set())],
)
def test_what_is_given_stands(given: tuple[str, ...], tumour: set[int], others: set[int]) -> None:
    found = roi_labels({"background": 0, "edema": 1, "tumor": 2, "cyst": 3}, given)
    assert (found, found.others) == (tumour, others)


@pytest.mark.parametrize(("given", "said"), [(("tumour",), "names 'tumour', the labels are"), ((), "is empty")])
def test_a_name_that_is_no_label(given: tuple[str, ...], said: str) -> None:
    with pytest.raises(DatasetError, match=said):
        roi_labels({"background": 0, "liver": 1, "tumor": 2}, given)


@pytest.mark.parametrize("name", ["Tumor", "tumours", "TumorCore", "lesion_2", "GTV", "gtvp", "Cancer", "liver tumor"])
def test_names_of_tumours(name: str) -> None:
    assert says_tumour(name) and not is_organ(name)


@pytest.mark.parametrize("name", ["tumoral", "peritumoral edema", "no lesion", "tumor free", "liver + tumor", "edema"])
def test_names_that_do_not_say_tumour(name: str) -> None:
    assert not says_tumour(name)


def write_mask(path: Path, *values: int) -> Path:
    """A mask with a voxel of each value."""
    array = np.zeros(GRID.size_xyz[::-1], dtype=np.uint8)
    array.flat[: len(values)] = values
    write_volume(path, Volume(array, GRID))
    return path


def test_a_mask_is_read_by_its_tumour_alone(tmp_path: Path) -> None:
    labels = RoiLabels({2}, others={1})
    assert np.argwhere(read_roi(write_mask(tmp_path / "a.nii.gz", 1, 2, 1, 2), labels).array).tolist() == [
        [0, 0, 1],
        [0, 0, 3],
    ]
    assert not read_roi(write_mask(tmp_path / "b.nii.gz"), labels).array.any()
    with pytest.raises(DatasetError, match=r"no voxel is tumour \[2\], all that is drawn is \[1\]"):
        read_roi(write_mask(tmp_path / "c.nii.gz", 1), labels)
    with pytest.raises(DatasetError, match=r"label 3 is not in dataset.json \(tumour \[2\], others \[1\]\)"):
        read_roi(write_mask(tmp_path / "d.nii.gz", 1, 2, 3), labels)


def test_the_others_travel_with_the_model(tmp_path: Path) -> None:
    record = tiny_model().record.model_copy(update={"roi_labels": (2,), "other_labels": (1,)}).sealed()
    record.save(tmp_path / "model.json")
    loaded = type(record).load(tmp_path / "model.json", "")
    labels = InputCase("a", {}, None).roi_labels(loaded)
    assert (labels, labels.others) == ({2}, {1})  # type: ignore[attr-defined]
    assert b"other_labels" not in tiny_model().record.to_bytes()  # as an older version wrote and sealed it


def with_organ(folder: Path, labels: dict[str, int]) -> Path:
    """The tumour of every mask of a dataset becomes 2, and all around it 1."""
    for path in (folder / "labelsTr").iterdir():
        drawn = read_labels(path)
        write_volume(path, Volume((drawn.array + 1).astype(np.uint8), drawn.geometry))
    edit_json(folder / "dataset.json", labels=labels)
    return folder


def test_the_organ_is_no_tumour_from_check_to_fingerprint(make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    right = extract_fingerprint(read_cohort(make_dataset(tmp_path / "right"))).tumour
    folder = with_organ(make_dataset(tmp_path / "organ"), {"background": 0, "liver": 1, "tumor": 2})
    report = check_dataset(folder)
    assert [problem.what for problem in report.problems] == [
        "labels liver of dataset.json are not counted as tumour, by their names"
    ]
    told: list[str] = []
    found = extract_fingerprint(read_cohort(folder), 2, warn=told.append)  # labels travel to two processes
    assert found.tumour == right
    assert found.roi_labels == (2,)
    assert told == ["labels liver are not counted as tumour; autodls.tumor would name what is"]
    edit_json(folder / "dataset.json", autodls__tumor=["tumor"])
    assert check_dataset(folder).problems == ()


def test_the_repair_that_check_names_leads_to_the_tumour(make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    folder = with_organ(make_dataset(tmp_path), {"background": 0, "tumor": 2})
    first = check_dataset(folder).errors[0]
    assert "label 1 is not in dataset.json (tumour [2])" in first.what
    assert "autodls.tumor which of them are tumour" in first.repair
    edit_json(folder / "dataset.json", labels__whatever=1)
    with pytest.raises(DatasetError, match=r"dataset\.json: labels .*'whatever' may be a part of the tumour or not"):
        check_dataset(folder)
    edit_json(folder / "dataset.json", autodls__tumor=["tumor"])
    assert check_dataset(folder).problems == ()
