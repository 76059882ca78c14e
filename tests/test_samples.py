"""From files to stored samples."""

import dataclasses
import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import save_file
from scipy import ndimage
from small_volumes import anatomy, ball, grid_around, oblique

from autodls.analysis.roi_agreement import compare_rois
from autodls.cli.console import Terminal
from autodls.errors import ArgumentError, DatasetError, StaleRecordError
from autodls.imaging.geometry import Volume, as_triple, sample_roi
from autodls.imaging.volumes import read_roi, read_volume, write_volume
from autodls.inference.inputs import InputCase
from autodls.inference.prepare import explained_samples
from autodls.preprocessing.case import case_key, prepare_case
from autodls.preprocessing.intensity import normalise
from autodls.preprocessing.sampling import sample_points
from autodls.preprocessing.shown import LEFT_OUT, Shown
from autodls.preprocessing.stage import preprocess_cases
from autodls.preprocessing.store import load_sample, load_summary, save_sample
from autodls.records.case import Case
from autodls.records.dataset import DatasetDescription
from autodls.records.plan import Plan
from autodls.records.preprocessing_plan import IntensityPlan, PreprocessingPlan
from autodls.records.workspace import Workspace
from autodls.stages.preprocess import preprocess_training

SEQUENCES = ("T1WI", "T2WI", "CE-T1WI")
LABELS = frozenset({1})
GRIDS = {
    "T1WI": grid_around((1, 0, 2), (44, 48, 12), (1.0, 1.0, 4.5)),
    "T2WI": grid_around((0, 2, 0), (40, 44, 14), (1.2, 1.1, 4.0), oblique(np.eye(3), 8, np.random.default_rng(0))),
    "CE-T1WI": grid_around((0, 0, 0), (40, 48, 12), (1.0, 1.0, 4.0), oblique(np.eye(3), 5, np.random.default_rng(1))),
}
DESCRIPTION = DatasetDescription.model_validate(
    {
        "channel_names": dict(zip("012", SEQUENCES, strict=True)),
        "labels": {"background": 0, "tumor": 1},
        "autodls": {"target": {"name": "high", "column": "cps", "positive": ">= 20"}},
    }
)


def plan_of(**changes):
    """A small preprocessing plan."""
    settings = {
        "roi_channel": "CE-T1WI",
        "registration": "geometry",
        "spacing_mm": 1.0,
        "crop_mm": 24.0,
        "slice_size_px": 32,
        "input_size_px": 32,
        "intensity": {
            name: IntensityPlan(scheme="zscore", clip_percentiles=(0.5, 99.5)).model_dump() for name in SEQUENCES
        },
    }
    return PreprocessingPlan.model_validate({**settings, **changes})


def write_case(folder, centre_mm=(3.0, -2.0, 1.0), sequences=SEQUENCES):
    """Image files by sequence, and the ROI file."""
    images = {}
    for number, name in enumerate(sequences):
        images[name] = folder / f"{name}.nii.gz"
        write_volume(images[name], anatomy(GRIDS[name], contrast=1.0 - 0.7 * number))
    write_volume(folder / "roi.nii.gz", ball(GRIDS["CE-T1WI"], centre_mm))
    return images, folder / "roi.nii.gz"


@pytest.fixture
def files(tmp_path):
    return write_case(tmp_path)


def prepare(files, **changes):
    return prepare_case("A1", files[0], files[1], LABELS, plan_of(**changes))


def test_a_sample_shows_the_same_place_in_every_sequence(files):
    sample = prepare(files)
    assert sample.pixels.shape == (3, 3, 32, 32)
    assert sample.present.all()
    assert sample.flags == ()
    for plane in sample.planes:
        np.testing.assert_allclose(plane.points_mm()[15:17, 15:17].mean(axis=(0, 1)), (3, -2, 1), atol=2.5)
    again = [sample_points(read_volume(files[0][name]), sample.planes[0].points_mm()) for name in SEQUENCES]
    for pixels, values in zip(sample.pixels[:, 0], again, strict=True):
        assert np.corrcoef(pixels.ravel(), values.ravel())[0, 1] > 0.97


def test_without_resizing_a_sample_holds_the_normalised_samples(files):
    sample = prepare(files, crop_mm=32.0)
    volume = read_volume(files[0]["T2WI"])
    values = np.stack([sample_points(volume, plane.points_mm()) for plane in sample.planes])
    expected = normalise(values, volume.array, plan_of().intensity["T2WI"], "T2WI")
    np.testing.assert_allclose(sample.pixels[1], expected, atol=1e-6)


def test_the_roi_of_a_sample_is_the_drawn_one_on_its_planes(files):
    sample = prepare(files)
    expected = np.stack([sample_roi(read_volume(files[1]), plane.points_mm()) for plane in sample.planes])
    np.testing.assert_array_equal(sample.roi, expected)
    assert (sample.roi.mean(axis=(1, 2)) > 0.1).all()


def test_the_roi_of_a_sample_follows_a_mask_that_is_moved(tmp_path):
    """By 4 mm to the left; the planes follow its centre, so the pictures move and the ROI in them does not."""
    for name in ("still", "moved"):
        (tmp_path / name).mkdir()
    still = prepare(write_case(tmp_path / "still"))
    moved = prepare(write_case(tmp_path / "moved", centre_mm=(7.0, -2.0, 1.0)))
    places = [one.planes[0].points_mm()[one.roi[0]].mean(axis=0) for one in (still, moved)]
    np.testing.assert_allclose(places[1] - places[0], (4, 0, 0), atol=1.0)
    assert not np.allclose(still.pixels, moved.pixels, atol=0.1)


def test_network_input_is_the_planes_and_behind_them_the_roi(files):
    sample = prepare(files)
    assert sample.network_input(roi_guided=False) is sample.pixels
    guided = sample.network_input(roi_guided=True)
    assert (guided.shape, guided.dtype) == ((3, 6, 32, 32), np.float32)
    np.testing.assert_array_equal(guided[:, :3], sample.pixels)
    for of_sequence in guided[:, 3:]:
        np.testing.assert_array_equal(of_sequence, sample.roi)


def test_a_mask_in_another_order_of_voxels_gives_the_same_sample_and_is_told(files):
    drawn = read_volume(files[1])
    backwards, last = tuple(-np.array(drawn.geometry.direction)), as_triple(drawn.geometry.corners()[-1])
    flipped = dataclasses.replace(drawn.geometry, origin_mm=last, direction=backwards)
    expected = prepare(files)
    write_volume(files[1], Volume(drawn.array[::-1, ::-1, ::-1], flipped))
    found = prepare(files)
    assert found.flags == ("ROI: brought onto the grid of its image without resampling: axes flipped",)
    np.testing.assert_array_equal(found.pixels, expected.pixels)
    np.testing.assert_array_equal(found.roi, expected.roi)


@pytest.mark.parametrize("missing", SEQUENCES)
def test_a_missing_sequence_is_zeros_and_the_rest_stays(files, missing):
    images = {name: path for name, path in files[0].items() if name != missing}
    full, sample = prepare(files), prepare((images, files[1]))
    kept = [name != missing for name in SEQUENCES]
    np.testing.assert_array_equal(sample.present, kept)
    assert not sample.pixels[SEQUENCES.index(missing)].any()
    np.testing.assert_allclose(sample.pixels[kept], full.pixels[kept], atol=1e-5)


def test_a_sequence_that_does_not_reach_the_tumour_is_flagged_and_missing(files):
    far = grid_around((200, 0, 0), (20, 20, 8), (1.0, 1.0, 4.0))
    write_volume(files[0]["T1WI"], Volume(anatomy(GRIDS["T1WI"]).array[:8, :20, :20], far))
    sample = prepare(files)
    assert sample.present.tolist() == [False, True, True]
    assert "T1WI does not show the tumour" in sample.flags[0]


def test_a_sequence_without_signal_at_the_tumour_is_flagged_and_missing(files):
    volume = read_volume(files[0]["T2WI"])
    blank = np.where(ball(volume.geometry, (3.0, -2.0, 1.0), (14, 14, 14)).array, 0, volume.array)
    write_volume(files[0]["T2WI"], Volume(blank, volume.geometry))
    sample = prepare(files)
    assert sample.present.tolist() == [True, False, True]
    assert sample.flags == ("T2WI has no signal where the tumour lies and is taken as missing",)


def test_a_moved_sequence_is_registered_only_where_the_plan_says_so(files):
    moved = dataclasses.replace(GRIDS["T1WI"], origin_mm=tuple(np.add(GRIDS["T1WI"].origin_mm, (5.0, 0.0, 0.0))))
    still = prepare(files).pixels[0]
    write_volume(files[0]["T1WI"], Volume(anatomy(GRIDS["T1WI"]).array, moved))
    by_geometry, by_registration = prepare(files), prepare(files, registration="rigid")
    assert np.corrcoef(by_geometry.pixels[0].ravel(), still.ravel())[0, 1] < 0.9
    assert np.corrcoef(by_registration.pixels[0].ravel(), still.ravel())[0, 1] > 0.97
    assert [flag.split(":")[0] for flag in by_registration.flags] == ["T2WI left where it is"]
    np.testing.assert_array_equal(by_registration.pixels[1:], by_geometry.pixels[1:])


def _moved(files, name, by_mm, array=None):
    volume = read_volume(files[0][name])
    there = dataclasses.replace(volume.geometry, origin_mm=tuple(np.add(volume.geometry.origin_mm, by_mm)))
    write_volume(files[0][name], Volume(volume.array if array is None else array, there))


def test_by_case_only_the_sequence_beside_the_tumour_is_searched_and_that_is_told(files):
    still = prepare(files)
    _moved(files, "T1WI", (70.0, -30.0, 0.0))
    found = prepare(files, registration="auto")
    assert np.corrcoef(found.pixels[0].ravel(), still.pixels[0].ravel())[0, 1] > 0.95
    np.testing.assert_array_equal(found.pixels[1:], still.pixels[1:])
    assert len(found.flags) == 1
    assert found.flags[0].startswith("T1WI moved by 76 mm: by its header it shows 0% of the tumour's box; mutual infor")
    assert prepare(files).present.tolist() == [False, True, True], "through the geometry it is missing"


def test_by_case_a_sequence_that_is_not_found_is_missing_and_the_case_stays(files):
    noise = np.random.default_rng(0).normal(size=GRIDS["T1WI"].size_xyz[::-1]).astype(np.float32)
    _moved(files, "T1WI", (70.0, -30.0, 0.0), noise)
    found = prepare(files, registration="auto")
    assert found.present.tolist() == [False, True, True]
    assert len(found.flags) == 1
    assert found.flags[0].startswith("T1WI shows 0% of the tumour's box by its header, is not registered (")
    assert found.flags[0].endswith("), and is taken as missing")


def test_by_case_where_headers_agree_nothing_is_registered(files):
    through_geometry, by_case = prepare(files), prepare(files, registration="auto")
    np.testing.assert_array_equal(by_case.pixels, through_geometry.pixels)
    assert by_case.flags == ()


def test_without_the_roi_channel_nothing_is_registered_and_this_is_said(files):
    images = {name: path for name, path in files[0].items() if name != "CE-T1WI"}
    assert prepare((images, files[1]), registration="rigid").flags == ("not registered: CE-T1WI is missing",)


def test_a_tumour_between_the_samples_is_flagged(files):
    roi = np.zeros(GRIDS["CE-T1WI"].size_xyz[::-1], dtype=bool)
    roi[6, 25, 21] = True
    write_volume(files[1], Volume(roi, GRIDS["CE-T1WI"]))
    assert "smaller than the grid of 3 mm" in prepare(files, spacing_mm=3.0, crop_mm=30.0).flags[0]


def _empty_roi(images, roi):
    write_volume(roi, Volume(np.zeros(GRIDS["CE-T1WI"].size_xyz[::-1], dtype=bool), GRIDS["CE-T1WI"]))


def _roi_elsewhere(images, roi):
    write_volume(roi, ball(GRIDS["T1WI"]))


def _constant(images, roi):
    write_volume(images["T2WI"], Volume(np.full(GRIDS["T2WI"].size_xyz[::-1], 3, dtype=np.int16), GRIDS["T2WI"]))


FAULTS = {
    "empty ROI": (_empty_roi, "the ROI is empty"),
    "ROI on another grid": (_roi_elsewhere, "the ROI is on another grid .*; resample the ROI onto"),
    "constant image": (_constant, "all voxels are 3"),
    "no image": (lambda images, roi: images.clear(), "no image of any of the sequences"),
    "unknown sequence": (lambda images, roi: images.update(ADC=roi), "sequence 'ADC' is not in the plan"),
    "missing file": (lambda images, roi: images["T1WI"].unlink(), "No such file"),
    "missing ROI": (lambda images, roi: roi.unlink(), "No such file"),
    "damaged image": (lambda images, roi: images["T1WI"].write_bytes(b"none"), "not an image"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_keeps_a_case_from_being_prepared_is_one_line(files, fault):
    spoil, expected = FAULTS[fault]
    spoil(*files)
    with pytest.raises(DatasetError, match=expected) as raised:
        prepare(files)
    assert str(raised.value).startswith("case A1: ")
    assert "\n" not in str(raised.value)


def test_a_stored_sample_is_read_as_it_was(files, tmp_path):
    sample = dataclasses.replace(prepare(files), flags=("one", "two; three"))
    save_sample(tmp_path / "A1.safetensors", sample)
    read = load_sample(tmp_path / "A1.safetensors")
    np.testing.assert_array_equal(read.pixels, sample.pixels)
    np.testing.assert_array_equal(read.present, sample.present)
    assert (read.case, read.planes, read.flags, read.key) == (sample.case, sample.planes, sample.flags, sample.key)
    assert read.shown == sample.shown == Shown((1.0, 1.0, 1.0), 1, 0, sample.shown.volume_ml, 0.0)
    assert load_summary(tmp_path / "A1.safetensors") == (sample.key, sample.flags)
    save_sample(tmp_path / "again.safetensors", read)
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "A1.safetensors").read_bytes()


@pytest.mark.parametrize("spoil", [lambda b: b"", lambda b: b[:200], lambda b: b[:-10], lambda b: b"{}" + b[2:]])
def test_a_damaged_sample_names_the_command_to_run(files, tmp_path, spoil):
    path = tmp_path / "A1.safetensors"
    save_sample(path, prepare(files))
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(StaleRecordError, match="run 'autodls preprocess'"):
        load_sample(path)
    assert load_summary(path) is None


def test_a_foreign_or_missing_file_is_no_sample(tmp_path):
    save_file({"pixels": np.zeros(3)}, tmp_path / "other.safetensors", metadata={"autodls": json.dumps({"format": 1})})
    for name in ("other", "none"):
        with pytest.raises(StaleRecordError, match="preprocess"):
            load_sample(tmp_path / f"{name}.safetensors")


def test_a_sample_refuses_pixels_that_are_not_finite(files):
    sample = prepare(files)
    with pytest.raises(ArgumentError, match="finite"):
        dataclasses.replace(sample, pixels=np.full_like(sample.pixels, np.nan))
    with pytest.raises(ArgumentError, match="pixels"):
        dataclasses.replace(sample, present=sample.present[:2])


def test_the_key_depends_on_plan_labels_and_bytes(files):
    images, roi = files
    keys = {case_key(images, roi, LABELS, plan_of())}
    keys.add(case_key(images, roi, LABELS, plan_of(crop_mm=25.0)))
    keys.add(case_key(images, roi, LABELS | {2}, plan_of()))
    keys.add(case_key({"T1WI": images["T1WI"]}, roi, LABELS, plan_of()))
    keys.add(case_key({**images, "T1WI": images["T2WI"]}, roi, LABELS, plan_of()))
    assert len(keys) == 5


def cohort(folder, count):
    """Cases with tumours at different places; each lies in its own folder."""
    cases = []
    for number in range(count):
        images, roi = write_case(folder / str(number), centre_mm=(3.0 - number, 2.0 * number, 0.0))
        cases.append(Case(f"C{number}", f"P{number}", None, "train", True, images, roi))
    return cases


def run(cases, folder, workers=1, **changes):
    done, plan = [], Plan.model_construct(preprocessing=plan_of(**changes))
    found = preprocess_cases(
        cases, DESCRIPTION.roi_labels, plan, lambda case: folder / f"{case}.safetensors", workers, done.append
    )
    return found.warnings, done


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_workers_change_no_byte(tmp_path):
    cases = cohort(tmp_path / "in", 3)
    alone, done = run(cases, tmp_path / "one", 1, registration="rigid")
    together, done_together = run(cases[::-1], tmp_path / "two", 2, registration="rigid")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert len(contents(tmp_path / "one")) == 3
    assert alone == together
    assert {problem.severity for problem in alone} == {"warning"}
    assert done == sorted(done_together) == ["C0", "C1", "C2"]


def test_only_cases_that_no_longer_fit_are_prepared_anew(tmp_path):
    cases = cohort(tmp_path / "in", 2)
    run(cases, tmp_path / "out")
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    write_case(tmp_path / "in" / "1", centre_mm=(-6.0, 0.0, 0.0))
    assert run(cases, tmp_path / "out")[1] == ["C0", "C1"]
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    assert [name for name in sorted(after) if after[name] != before[name]] == ["C1.safetensors"]


def test_a_damaged_sample_is_prepared_anew(tmp_path):
    cases = cohort(tmp_path / "in", 1)
    run(cases, tmp_path / "out")
    whole = contents(tmp_path / "out")
    (tmp_path / "out" / "C0.safetensors").write_bytes(b"cut")
    run(cases, tmp_path / "out")
    assert contents(tmp_path / "out") == whole


def test_every_failing_case_is_reported_and_the_others_are_written(tmp_path):
    cases = cohort(tmp_path / "in", 3)
    _empty_roi({}, cases[0].roi)
    without = dataclasses.replace(cases[1], id="C9", roi=None)
    with pytest.raises(DatasetError, match="2 of 4 cases") as raised:
        run([*cases, without], tmp_path / "out")
    assert "case C0: " in str(raised.value)
    assert "case C9: has no ROI" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert set(contents(tmp_path / "out")) == {"C1.safetensors", "C2.safetensors"}


def with_second_lesion(case):
    """The case with another, smaller tumour beyond its crop of 24 mm."""
    grid = GRIDS["CE-T1WI"]
    both = ball(grid, (3.0, -2.0, 1.0)).array | ball(grid, (-2.0, 18.0, 1.0), (3.0, 3.0, 4.5)).array
    write_volume(case.roi, Volume(both, grid))
    return case


def test_crops_that_miss_tumour_are_flagged_counted_and_told(tmp_path, capsys):
    cases = cohort(tmp_path / "in", 3)
    with_second_lesion(cases[0])
    workspace = Workspace(tmp_path / "out")
    session = SimpleNamespace(training=cases, roi_labels=LABELS, workspace=workspace)
    for _ in range(2):  # the second time from the stored samples
        preprocess_training(session, Plan.model_construct(preprocessing=plan_of()), 1, Terminal())
        told = " ".join(capsys.readouterr().err.split())
        assert f"warning: case C0: {LEFT_OUT}: axial shows" in told
        assert "in 1 of 3 cases the pictures leave tumour out; crop_mm is 24, of which the network sees 24 mm" in told
    sample, other = (load_sample(workspace.sample(f"C{number}")) for number in (0, 1))
    assert (sample.shown.parts, other.shown.parts, other.flags) == (2, 1, ())
    assert sample.shown.in_plane[0] < 1 and sample.shown.unseen == 1


def test_what_is_explained_lies_in_the_planes_that_were_scored(tmp_path):
    case = with_second_lesion(cohort(tmp_path, 1)[0])
    scored = prepare((case.images, case.roi))
    (explained,) = explained_samples([InputCase("A1", case.images, case.roi)], LABELS, plan_of(), 1)
    assert (explained.planes, explained.shown, explained.flags) == (scored.planes, scored.shown, scored.flags)
    squares = compare_rois("A1", "P1", read_roi(case.roi, LABELS), read_roi(case.roi, LABELS), plan_of())
    assert {found.plane_error_mm for found in squares.planes.values()} == {0.0}


def test_the_roi_of_a_sample_is_all_tumour_in_its_pictures(tmp_path):
    """A guided network is shown every part that lies in the crop, not only the one that the crop is centred on."""
    case = with_second_lesion(cohort(tmp_path, 1)[0])
    wide = prepare((case.images, case.roi), crop_mm=60.0, slice_size_px=60, input_size_px=60)
    drawn = read_volume(case.roi)
    for plane, roi in zip(wide.planes, wide.roi, strict=True):
        np.testing.assert_array_equal(roi, sample_roi(drawn, plane.points_mm()))
    assert ndimage.label(wide.roi[0])[1] == 2
    assert wide.shown.is_whole and wide.network_input(roi_guided=True)[0, 3].sum() == wide.roi[0].sum()


def test_the_store_is_read_without_simpleitk():
    code = "import sys, autodls.preprocessing.store; sys.exit('SimpleITK' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_real_cohort_is_prepared(shared_data, tmp_path):
    folder = shared_data / "lgg_ht"
    sequences = ("T1WI", "FLAIR", "CE-T1WI")
    plan = plan_of(roi_channel="FLAIR", intensity={name: plan_of().intensity["T1WI"] for name in sequences})
    images = {name: folder / "imagesTr" / f"TCGA_HT_7602_000{index}.nii.gz" for index, name in enumerate(sequences)}
    sample = prepare_case("7602", images, folder / "labelsTr" / "TCGA_HT_7602.nii.gz", LABELS, plan)
    assert sample.present.all()
    assert [flag.split(":")[0] for flag in sample.flags] == [LEFT_OUT]  # a glioma in a crop of 24 mm
    save_sample(tmp_path / "sample.safetensors", sample)
    assert np.abs(sample.pixels.mean(axis=(1, 2, 3))).max() < 0.2
