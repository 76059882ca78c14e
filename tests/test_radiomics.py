"""Radiomic features: the values that IBSI published, what they are measured on, and that they are measured once."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from autodls.candidates import radiomic_cases, radiomics
from autodls.candidates.radiomic_cases import radiomics_of, tumour_points
from autodls.errors import ArgumentError, DatasetError
from autodls.imaging.geometry import Geometry, Volume
from autodls.imaging.volumes import read_volume, write_volume
from autodls.records.cohort import read_cohort
from autodls.records.preprocessing_plan import IntensityPlan, PreprocessingPlan

installed = pytest.mark.skipif(not radiomics.is_installed(), reason="pip install 'autodls[radiomics]'")
IBSI = json.loads((Path(__file__).parent / "reference" / "ibsi_digital_phantom.json").read_text())


@pytest.fixture(scope="module")
def on_phantom():
    """Our features of IBSI's phantom, whose voxels are taken for voxels of 1 mm."""
    image, roi = np.array(IBSI["image_zyx"], dtype=float), np.array(IBSI["roi_zyx"], dtype=bool)
    return {**radiomics.shape_features(roi), **radiomics.picture_features(image, roi, 0)}


LENGTHS = {  # of the power of a length that a feature goes with: the phantom's voxels are of 2 mm, ours of 1 mm
    "morph_volume": 3, "morph_vol_approx": 3, "morph_area_mesh": 2, "morph_av": -1, "morph_diam": 1,
    "morph_pca_maj_axis": 1, "morph_pca_min_axis": 1, "morph_pca_least_axis": 1,
}  # fmt: skip


@installed
@pytest.mark.parametrize("name", IBSI["features"])
def test_every_feature_has_the_value_that_ibsi_published(on_phantom, name):
    reference = IBSI["features"][name]
    found = on_phantom[name] * IBSI["spacing_mm"] ** LENGTHS.get(name, 0)
    rounding = 0.5 * 10 ** (np.floor(np.log10(abs(reference["value"]))) - 2) if reference["value"] else 1e-9
    assert found == pytest.approx(reference["value"], abs=max(1.01 * rounding, reference.get("tolerance", 0)))


@installed
def test_no_feature_is_delivered_that_the_initiative_has_no_value_for(on_phantom):
    assert set(on_phantom) == set(IBSI["features"])
    assert len(on_phantom) == 157


@installed
def test_the_library_says_nothing_on_stdout_and_leaves_the_log_as_it_was(capfd):
    before = (list(logging.getLogger().handlers), logging.getLogger().level)
    radiomics.shape_features(np.ones((4, 4, 4), dtype=bool))
    assert capfd.readouterr().out == ""
    assert (logging.getLogger().handlers, logging.getLogger().level) == before


def test_without_the_library_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setattr(radiomics, "find_spec", lambda _name: None)
    with pytest.raises(ArgumentError, match=r"pip install 'autodls\[radiomics\]'"):
        radiomics.shape_features(np.ones((4, 4, 4), dtype=bool))


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.5, 0.5, 5.0), (2.0, 1.0, 3.0)])
def test_the_tumour_keeps_its_volume_on_the_isotropic_grid(spacing):
    array = np.zeros((12, 40, 40), dtype=bool)
    array[3:9, 10:30, 12:28] = True
    grid = Geometry((40, 40, 12), spacing, (5.0, -7.0, 11.0))
    _, inside = tumour_points(Volume(array, grid))
    assert inside.sum() == pytest.approx(array.sum() * np.prod(spacing), rel=0.12)
    assert inside.any(axis=(1, 2)).all(), "the grid ends where the tumour does"


def test_points_of_the_tumour_lie_in_it_whatever_the_direction_of_the_grid():
    array = np.zeros((8, 20, 20), dtype=bool)
    array[2:5, 4:12, 3:9] = True
    turned = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0)
    grid = Geometry((20, 20, 8), (1.0, 1.0, 3.0), (1.0, 2.0, 3.0), turned)
    points, inside = tumour_points(Volume(array, grid))
    x, y, z = np.rint(grid.physical_to_index(points[inside])).astype(int).T
    assert array[z, y, x].all()


PLAN = PreprocessingPlan(
    roi_channel="CE-T1WI",
    registration="none",
    spacing_mm=1.0,
    crop_mm=32.0,
    slice_size_px=36,
    input_size_px=32,
    intensity={
        name: IntensityPlan(scheme="zscore", clip_percentiles=(0.5, 99.5)) for name in ("T1WI", "T2WI", "CE-T1WI")
    },
)


@pytest.fixture
def cohort(tmp_path, make_dataset):
    return read_cohort(make_dataset(tmp_path / "dataset", training=2))


def measured(cohort, folder, plan=None, cases=None):
    sequences = cohort.description.sequences
    made = plan or PLAN.model_copy(
        update={"intensity": dict.fromkeys(sequences, PLAN.intensity["T1WI"]), "roi_channel": sequences[-1]}
    )
    return radiomics_of(
        cases or cohort.training, cohort.description.roi_labels, made, lambda case: folder / f"{case}.json"
    )


@installed
def test_a_scale_of_the_scanner_is_no_feature(cohort, tmp_path):
    case = cohort.training[0]
    sequence, path = next(iter(case.images.items()))
    before = measured(cohort, tmp_path / "a", cases=[case])[case.id].features
    volume = read_volume(path)
    write_volume(path, Volume((3 * volume.array.astype(np.float32) + 100).astype(np.float32), volume.geometry))
    after = measured(cohort, tmp_path / "b", cases=[case])[case.id].features
    assert before.keys() == after.keys()
    assert any(name.startswith(f"{sequence}:") for name in before)
    for name, value in before.items():
        assert after[name] == pytest.approx(value, rel=0.02, abs=0.02), name


@installed
def test_a_case_is_measured_again_only_when_its_files_have_changed(cohort, tmp_path, monkeypatch):
    first = measured(cohort, tmp_path / "kept")
    counted = []
    work = radiomic_cases._measured
    monkeypatch.setattr(radiomic_cases, "_measured", lambda task: counted.append(task.case) or work(task))
    assert measured(cohort, tmp_path / "kept") == first
    assert counted == []
    changed = cohort.training[0]
    roi = read_volume(changed.roi)
    array = roi.array.copy()
    z, y, x = (int(index[0]) for index in np.nonzero(array))
    array[z, y, x] = 0
    write_volume(changed.roi, Volume(array, roi.geometry))
    measured(cohort, tmp_path / "kept")
    assert counted == [changed.id]
    path = tmp_path / "kept" / f"{cohort.training[1].id}.json"
    path.write_text(path.read_text().replace('"shape:morph_volume": ', '"shape:morph_volume": 1'))
    measured(cohort, tmp_path / "kept")
    assert counted == [changed.id, cohort.training[1].id], "an altered record is not believed"


@installed
def test_a_sequence_that_a_case_lacks_or_that_is_blank_has_no_feature(cohort, tmp_path):
    case = cohort.training[0]
    lacking, *others = case.images
    fewer = replace(case, images={name: case.images[name] for name in others})
    found = measured(cohort, tmp_path / "a", cases=[fewer])[case.id].features
    assert not any(name.startswith(f"{lacking}:") for name in found)
    volume = read_volume(case.images[lacking])
    blank = np.where(np.arange(volume.array.shape[-1]) < 1, 1, 0) * np.ones_like(volume.array)
    write_volume(case.images[lacking], Volume(blank, volume.geometry))
    blanked = measured(cohort, tmp_path / "b", cases=[case])[case.id]
    assert blanked.features == found
    assert blanked.flags


@installed
def test_an_empty_roi_is_one_line(cohort, tmp_path):
    case = cohort.training[0]
    roi = read_volume(case.roi)
    write_volume(case.roi, Volume(np.zeros_like(roi.array), roi.geometry))
    with pytest.raises(DatasetError, match=f"case {case.id}: .*the ROI is empty; draw the tumour"):
        measured(cohort, tmp_path / "a", cases=[case])
