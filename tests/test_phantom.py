"""The phantom cohort: its truth holds, its files are a dataset, and its signs can be seen."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.ndimage import binary_dilation, binary_erosion
from scipy.stats import mannwhitneyu, norm, ttest_ind

from autodls.errors import ArgumentError, DatasetError
from autodls.imaging.volumes import read_roi, read_volume
from autodls.phantom.anatomy import Structure, draw_anatomy
from autodls.phantom.cohort import TRUTH_FILE, PhantomSettings, PhantomTruth, write_cohort
from autodls.phantom.generative import (
    FOLLOW_UP_MONTHS,
    MEDIAN_PFS_LOW_MONTHS,
    ExpressionModel,
    Patient,
    auc_of_correlation,
    correlation_for_auc,
    draw_patient,
    sign_noise,
    signs_correlation,
)
from autodls.phantom.scanner import PROTOCOLS, draw_acquisition, draw_pose, head_points, outline, scan
from autodls.phantom.settings import ROI_CHANNEL, SEQUENCES
from autodls.phantom.tumour import draw_tumour
from autodls.phantom.waves import Waves
from autodls.records.dataset import DatasetDescription
from autodls.records.table import read_table

SMALL = PhantomSettings(cases=40, external_cases=2, matrix_factor=0.6, missing_share=0.2, seed=4)


def auc(score: NDArray[np.float64], label: NDArray[np.bool_]) -> float:
    return float(mannwhitneyu(score[label], score[~label]).statistic / (label.sum() * (~label).sum()))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("phantom") / "cohort"
    write_cohort(path, SMALL)
    return path


@pytest.fixture(scope="module")
def truth(folder: Path) -> PhantomTruth:
    return PhantomTruth.load(folder / TRUTH_FILE, "write it again")


@pytest.fixture(scope="module")
def rows(folder: Path) -> list[dict[str, str]]:
    return read_table(folder / "clinical.csv")


@pytest.fixture(scope="module")
def patients() -> list[Patient]:
    model = ExpressionModel.of(PhantomSettings(cases=4000, hazard_ratio=0.5))
    return [draw_patient(model, case) for case in model.settings.case_ids]


# The ceiling


@pytest.mark.parametrize(("correlation", "prevalence"), [(0.3, 0.4), (0.7, 0.2), (0.9, 0.4), (0.97, 0.5)])
def test_ceiling_formula_agrees_with_monte_carlo(correlation: float, prevalence: float) -> None:
    chance = np.random.default_rng(1)
    expression = chance.standard_normal(400_000)
    level = correlation * expression + math.sqrt(1 - correlation**2) * chance.standard_normal(400_000)
    observed = auc(expression, level > norm.isf(prevalence))
    assert auc_of_correlation(correlation, prevalence) == pytest.approx(observed, abs=0.002)


@given(st.floats(0.5, 0.99), st.floats(0.05, 0.95))
def test_correlation_inverts_the_ceiling(ceiling: float, prevalence: float) -> None:
    assert auc_of_correlation(correlation_for_auc(ceiling, prevalence), prevalence) == pytest.approx(ceiling, abs=1e-6)


@given(st.floats(0, 0.98), st.floats(0.05, 0.95))
def test_ceiling_rises_with_correlation_and_is_symmetric_in_prevalence(correlation: float, prevalence: float) -> None:
    value = auc_of_correlation(correlation, prevalence)
    assert value <= auc_of_correlation(correlation + 0.01, prevalence)
    assert value == pytest.approx(auc_of_correlation(correlation, 1 - prevalence), abs=1e-6)


@pytest.mark.parametrize(("correlation", "prevalence"), [(1.0, 0.4), (-0.1, 0.4), (0.5, 0.0), (math.nan, 0.4)])
def test_impossible_ceilings_are_refused_by_value(correlation: float, prevalence: float) -> None:
    with pytest.raises(ArgumentError, match=f"{correlation} and prevalence {prevalence}"):
        auc_of_correlation(correlation, prevalence)


def test_unreachable_ceiling_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"0\.999"):
        correlation_for_auc(0.999, 0.4)


@pytest.mark.parametrize("names", [("CE-T1WI",), ("T2WI",), ("T1WI",), SEQUENCES])
def test_ceiling_of_signs_is_that_of_their_best_combination(patients: list[Patient], names: tuple[str, ...]) -> None:
    model = ExpressionModel.of(PhantomSettings(cases=4000))
    high = np.array([patient.cps >= 20 for patient in patients])
    best = np.array([sum(p.signs[name] / model.noises[name] ** 2 for name in names) for p in patients])
    assert auc(best, high) == pytest.approx(model.ceiling_auc(*names), abs=0.015)


def test_sequences_differ_in_worth_and_lose_it_with_difficulty() -> None:
    easy, hard = sign_noise(0), sign_noise(1)
    assert easy["CE-T1WI"] < easy["T2WI"] < easy["T1WI"]
    assert all(easy[name] < hard[name] for name in SEQUENCES)
    assert signs_correlation(0.9, easy) > signs_correlation(0.9, {"CE-T1WI": easy["CE-T1WI"]})


# Patients


def test_expression_reaches_the_ceiling_and_cps_the_prevalence(patients: list[Patient]) -> None:
    high = np.array([patient.cps >= 20 for patient in patients])
    expression = np.array([patient.expression for patient in patients])
    assert auc(expression, high) == pytest.approx(0.95, abs=0.01)
    assert high.mean() == pytest.approx(0.4, abs=0.005)
    assert abs(expression.mean()) < 0.05
    assert expression.std() == pytest.approx(1, abs=0.04)
    assert auc(np.random.default_rng(0).permutation(expression), high) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("seed", range(6))
def test_even_a_small_cohort_comes_near_the_prevalence(seed: int) -> None:
    model = ExpressionModel.of(PhantomSettings(cases=30, seed=seed))
    assert 10 <= sum(draw_patient(model, case).cps >= 20 for case in model.settings.case_ids) <= 14


def test_cps_is_rounded_down_and_capped() -> None:
    model = ExpressionModel.of(PhantomSettings())
    edge = norm.isf(0.4)
    assert model.cps(np.array([edge - 1e-6, edge + 1e-6, -9.0, 9.0])).tolist() == [19, 20, 0, 100]


def test_hazard_ratio_and_median_are_recovered(patients: list[Patient]) -> None:
    def hazard(high: bool) -> float:
        group = [patient for patient in patients if (patient.cps >= 20) is high]
        return sum(patient.pfs_event for patient in group) / sum(patient.pfs_months for patient in group)

    assert hazard(True) / hazard(False) == pytest.approx(0.5, rel=0.08)
    assert math.log(2) / hazard(False) == pytest.approx(MEDIAN_PFS_LOW_MONTHS, rel=0.06)
    censored = [patient.pfs_months for patient in patients if not patient.pfs_event]
    assert FOLLOW_UP_MONTHS[0] <= min(censored) <= max(censored) <= FOLLOW_UP_MONTHS[1]


def test_clinical_variables_tell_little(patients: list[Patient]) -> None:
    expression = np.array([patient.expression for patient in patients])
    advanced = np.array([patient.clinical["t_stage"] in {"T3", "T4"} for patient in patients])
    male = np.array([patient.clinical["sex"] == "male" for patient in patients])
    assert 0.53 < auc(expression, advanced) < 0.65
    assert ttest_ind(expression[male], expression[~male]).pvalue > 0.001
    assert {patient.clinical["n_stage"] for patient in patients} == {"", "N0", "N1", "N2", "N3"}
    assert np.mean([patient.clinical["age"] == "" for patient in patients]) == pytest.approx(0.04, abs=0.015)
    assert {patient.site for patient in patients} == {"A", "B"}


def test_a_case_does_not_depend_on_the_size_of_the_cohort() -> None:
    few, many = (ExpressionModel.of(PhantomSettings(cases=cases)) for cases in (3, 300))
    assert draw_patient(few, "PH0003") == draw_patient(many, "PH0003")
    assert draw_patient(few, "PH0003").expression != draw_patient(few, "PH0002").expression


@pytest.mark.parametrize("wrong", [{"cases": -1}, {"difficulty": 1.5}, {"prevalence": 0.0}, {"ceiling_auc": 1.0}])
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        PhantomSettings.model_validate(wrong)


# Images


def test_structure_covers_its_inside_alone() -> None:
    front = Structure("fat", (0, 0, 0), (10, 10, math.inf), in_front_of_mm=0)
    x, y, z = (np.array(values, np.float32) for values in ([0, 0, 0, 20], [-5, 5, 0, 0], [0, 0, 900, 0]))
    assert front.cover((x, y, z)).tolist() == [1.0, 0.0, 0.5, 0.0]


@pytest.mark.parametrize("site", PROTOCOLS)
def test_painting_in_boxes_changes_nothing(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = np.random.default_rng(0)
    anatomy, pose = draw_anatomy(dict.fromkeys(SEQUENCES, 0.0), 0, chance), draw_pose(chance)
    points = head_points(draw_acquisition(site, "T2WI", 0.5, 0, chance).geometry, pose)
    boxed = anatomy.intensity(points, "T2WI")
    monkeypatch.setattr(Structure, "box", lambda part, extents: (slice(None),) * 3)
    assert np.array_equal(boxed, anatomy.intensity(points, "T2WI"))


def test_waves_have_unit_variance() -> None:
    points = tuple(np.random.default_rng(0).uniform(-500, 500, (3, 20_000)).astype(np.float32))
    field = Waves.draw(8, shortest=8, longest=16, chance=np.random.default_rng(2)).at((points[0], points[1], points[2]))
    assert abs(field.mean()) < 0.03
    assert field.std() == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("seed", range(8))
def test_tumour_has_the_stated_size_and_stays_within_reach(seed: int) -> None:
    tumour = draw_tumour(dict.fromkeys(SEQUENCES, 0.0), 0.0, np.random.default_rng(seed))
    grid = np.mgrid[-30:31, -30:31, -30:31].astype(np.float32)
    x, y, z = (axis + centre for axis, centre in zip(grid, tumour.centre_mm, strict=True))
    inside = tumour.depth_mm((x, y, z)) > 0
    equivalent_mm = 2 * (3 * inside.sum() / (4 * math.pi)) ** (1 / 3)
    assert equivalent_mm == pytest.approx(2 * tumour.radius_mm, rel=0.2)
    farthest = np.linalg.norm(np.argwhere(inside) - 30, axis=1).max()
    assert farthest < tumour.reach_mm


def test_signs_drive_what_is_seen() -> None:
    low, high = (draw_tumour(dict.fromkeys(SEQUENCES, sign), 0.1, np.random.default_rng(5)) for sign in (-1.0, 1.0))
    assert high.rim_contrast > 3 * low.rim_contrast
    assert high.rim_thickness_mm > low.rim_thickness_mm + 1
    assert high.texture_contrast > 2 * low.texture_contrast
    assert 0 < high.core["T1WI"] - low.core["T1WI"] < 0.08


def test_signs_weaken_with_difficulty() -> None:
    def contrast(difficulty: float) -> float:
        low, high = (
            draw_tumour(dict.fromkeys(SEQUENCES, s), difficulty, np.random.default_rng(5)) for s in (-1.0, 1.0)
        )
        return high.rim_contrast - low.rim_contrast

    assert contrast(0) > contrast(0.5) > contrast(1) > 0


def test_head_points_follow_geometry_and_pose() -> None:
    geometry = draw_acquisition("B", "T2WI", 0.2, 0.0, np.random.default_rng(0)).geometry
    pose = draw_pose(np.random.default_rng(1))
    x, y, z = head_points(geometry, pose)
    assert x.shape == geometry.size_xyz[::-1]
    head = np.array([x[3, 2, 1], y[3, 2, 1], z[3, 2, 1]])
    physical = geometry.index_to_physical([[1, 2, 3]])[0]
    assert pose.rotation @ head + pose.shift_mm == pytest.approx(physical, abs=1e-3)


def test_matrix_factor_keeps_the_field_of_view() -> None:
    coarse, fine = (draw_acquisition("A", "T1WI", f, 0, np.random.default_rng(0)).geometry for f in (0.5, 2.0))
    assert fine.size_xyz[0] == 4 * coarse.size_xyz[0]
    assert fine.size_xyz[0] * fine.spacing_mm[0] == pytest.approx(coarse.size_xyz[0] * coarse.spacing_mm[0])


@pytest.mark.parametrize("site", PROTOCOLS)
def test_sequences_of_a_site_differ_in_grid_and_some_are_oblique(site: str) -> None:
    grids = [draw_acquisition(site, name, 1, 0, np.random.default_rng(3)).geometry for name in SEQUENCES]
    assert len({(grid.spacing_mm, grid.direction) for grid in grids}) == len(SEQUENCES)
    tilts = [math.degrees(math.acos(min(abs(grid.cosines[2, 2]), 1))) for grid in grids]
    assert max(tilts) > 2
    assert all(1.5 <= grid.spacing_mm[0] <= 2.5 and 4 <= grid.spacing_mm[2] <= 6 for grid in grids)


@pytest.mark.parametrize("site", PROTOCOLS)
def test_every_tumour_lies_within_every_grid(site: str) -> None:
    for seed in range(12):
        chance = np.random.default_rng(seed)
        anatomy, pose = draw_anatomy(dict.fromkeys(SEQUENCES, 0.0), 0, chance), draw_pose(chance)
        for name in SEQUENCES:
            geometry = draw_acquisition(site, name, 0.4, 0, chance).geometry
            drawn = outline(anatomy, pose, geometry).array
            border = drawn.sum() - drawn[1:-1, 1:-1, 1:-1].sum()
            assert drawn.any()
            assert border == 0


def test_noise_is_that_of_the_protocol_in_air_and_in_tissue() -> None:
    chance = np.random.default_rng(0)
    anatomy, pose = draw_anatomy(dict.fromkeys(SEQUENCES, 0.0), 0, chance), draw_pose(chance)
    acquisition = draw_acquisition("A", "T1WI", 1, 0, chance)
    image = scan(anatomy, pose, acquisition).array / (1000 * acquisition.gain)
    corner = image[:, :6, :6]
    assert corner.mean() == pytest.approx(0.02 * math.sqrt(math.pi / 2), rel=0.25)
    assert np.percentile(image, 99.5) == pytest.approx(0.95, abs=0.25)


# The folder


def test_folder_is_a_dataset(folder: Path, rows: list[dict[str, str]], truth: PhantomTruth) -> None:
    description = DatasetDescription.model_validate(json.loads((folder / "dataset.json").read_bytes()))
    assert description.sequences == SEQUENCES
    assert description.roi_channel == ROI_CHANNEL
    assert [row["case"] for row in rows] == list(SMALL.case_ids) == list(truth.cases)
    assert [row["cohort"] for row in rows].count("external") == 2
    assert {row["site"] for row in rows} == {"A", "B", "C"}
    settings = description.autodls
    assert {settings.target.column, settings.patient, settings.site, *settings.clinical} <= set(rows[0])
    assert len(list((folder / "labelsTr").iterdir())) == len(rows)


def test_missing_sequences_are_never_the_roi_channel(folder: Path) -> None:
    counts = [len(list((folder / "imagesTr").glob(f"*_{channel:04d}.nii.gz"))) for channel in range(3)]
    assert counts[2] == 42
    assert 84 - 15 <= counts[0] + counts[1] <= 84 - 3


def test_roi_lies_on_the_roi_channel(folder: Path) -> None:
    for case in ("PH0001", "PH0002", "EX0001"):
        roi = read_roi(folder / "labelsTr" / f"{case}.nii.gz", frozenset({1}))
        image = read_volume(folder / "imagesTr" / f"{case}_0002.nii.gz")
        assert roi.array.shape == image.array.shape
        assert roi.geometry.origin_mm == pytest.approx(image.geometry.origin_mm)
        assert roi.geometry.direction == pytest.approx(image.geometry.direction)
        assert roi.array.sum() > 5


def test_truth_holds_the_ceilings(truth: PhantomTruth) -> None:
    assert truth.ceiling_auc == pytest.approx(0.95, abs=1e-6)
    assert truth.ceiling_auc > truth.images_ceiling_auc > truth.sequence_ceiling_auc["CE-T1WI"]
    assert auc_of_correlation(truth.correlation, truth.prevalence) == truth.ceiling_auc


def test_enhancing_rim_separates_the_classes(folder: Path, rows: list[dict[str, str]]) -> None:
    training = [row for row in rows if row["cohort"] == "train"]
    high = np.array([float(row["cps"]) >= 20 for row in training])
    rims = np.array([rim_over_core(folder, row["case"]) for row in training])
    assert auc(rims, high) > 0.8
    shuffled = [auc(np.random.default_rng(seed).permutation(rims), high) for seed in range(50)]
    assert np.mean(shuffled) == pytest.approx(0.5, abs=0.06)


def rim_over_core(folder: Path, case: str) -> float:
    """Mean intensity of the outermost voxels in plane over that of the core (or of the surroundings)."""
    roi = read_roi(folder / "labelsTr" / f"{case}.nii.gz", frozenset({1})).array.astype(bool)
    image = read_volume(folder / "imagesTr" / f"{case}_0002.nii.gz").array
    in_plane = np.zeros((3, 3, 3), bool)
    in_plane[1] = True
    core = binary_erosion(roi, in_plane)
    if core.sum() < 3:
        core = binary_dilation(roi, in_plane, iterations=2) & ~binary_dilation(roi, in_plane)
    return float(image[roi & ~core].mean() / image[core].mean())


# Running it again


def state(folder: Path) -> dict[str, tuple[int, bytes]]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


TINY = PhantomSettings(cases=3, external_cases=1, matrix_factor=0.25)


def test_an_interrupted_cohort_is_completed_to_the_bytes_of_two_processes(tmp_path: Path) -> None:
    def stop_at_second(case: str) -> None:
        if case == "PH0002":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_cohort(tmp_path / "a", TINY, stop_at_second)
    before = state(tmp_path / "a")
    seen: list[str] = []
    write_cohort(tmp_path / "a", TINY, seen.append)
    write_cohort(tmp_path / "b", TINY, workers=2)
    after = state(tmp_path / "a")
    assert seen == list(TINY.case_ids)
    assert before.items() <= after.items()
    assert {name: content for name, (_, content) in after.items()} == {
        name: content for name, (_, content) in state(tmp_path / "b").items()
    }


def test_a_persons_edits_are_kept(tmp_path: Path) -> None:
    write_cohort(tmp_path / "a", TINY)
    (tmp_path / "a" / "clinical.csv").write_text("case,cps\nPH0001,3\n")
    (tmp_path / "a" / "autodls").mkdir()
    before = state(tmp_path / "a")
    write_cohort(tmp_path / "a", TINY)
    assert state(tmp_path / "a") == before


def test_images_of_a_case_do_not_depend_on_the_others(tmp_path: Path) -> None:
    write_cohort(tmp_path / "one", TINY.model_copy(update={"cases": 1, "external_cases": 0}))
    write_cohort(tmp_path / "three", TINY)
    for name in ("imagesTr/PH0001_0000.nii.gz", "imagesTr/PH0001_0002.nii.gz", "labelsTr/PH0001.nii.gz"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "three" / name).read_bytes()


def test_other_settings_are_refused_and_named(tmp_path: Path) -> None:
    write_cohort(tmp_path, TINY)
    with pytest.raises(DatasetError, match=r"other seed \(0, not 1\).*new folder") as failure:
        write_cohort(tmp_path, TINY.model_copy(update={"seed": 1}))
    assert failure.value.exit_status == 2


@pytest.mark.parametrize("content", ["notes.txt", "imagesTr/mine_0000.nii.gz"])
def test_a_folder_with_other_content_is_refused_untouched(tmp_path: Path, content: str) -> None:
    mine = tmp_path / content
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.write_text("mine")
    with pytest.raises(DatasetError, match="not an empty folder"):
        write_cohort(tmp_path, TINY)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [mine]


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(DatasetError, match="out: is not an empty folder"):
        write_cohort(tmp_path / "out", TINY)


def test_a_foreign_truth_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / TRUTH_FILE).write_text("{}")
    with pytest.raises(DatasetError, match=TRUTH_FILE):
        write_cohort(tmp_path, TINY)


def test_empty_cohort_writes_a_header_alone(tmp_path: Path) -> None:
    write_cohort(tmp_path, PhantomSettings(cases=0))
    assert (tmp_path / "clinical.csv").read_text().splitlines() == [
        "case,patient_id,cohort,site,age,sex,t_stage,n_stage,cps,pfs_months,pfs_event"
    ]
