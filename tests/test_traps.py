"""The registry of silent-error traps: what would give a wrong number without a word comes out right, or loud.

Each trap has a test here, or a row in `ELSEWHERE` that names the test that holds it.
"""

import ast
import gzip
import itertools
import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from command_line import autodls, edit_json, write_phantom
from small_volumes import ORIENTATIONS, ball, grid_around, points_of
from tiny_model_folder import write_model_folder

from autodls.cli.console import Terminal
from autodls.cli.show_scores import show_aucs
from autodls.evaluation.cohort_table import CohortTable
from autodls.evaluation.metrics import Choices, evaluate_table
from autodls.evaluation.scores_table import ScoreTable
from autodls.imaging.geometry import Volume, sample_roi
from autodls.imaging.painting import paint_pictures
from autodls.imaging.volumes import read_geometry, read_volume, write_volume
from autodls.inference.copies import with_copies_flagged
from autodls.inference.prediction import CaseScore, Prediction
from autodls.planning.check import check_dataset
from autodls.planning.fingerprint import extract_fingerprint
from autodls.planning.ood import ood_flags, tumour_flags
from autodls.planning.sequence_measure import SequenceMeasure
from autodls.preprocessing.planes import find_planes
from autodls.preprocessing.sampling import sample_points
from autodls.records.cohort import read_cohort
from autodls.records.files import sha256_of_file
from autodls.records.model import ModelRecord
from autodls.records.model_folders import ModelFolder
from autodls.report.figures.overlays import side_labels

ELSEWHERE = {
    "axes of an array in the wrong order": "test_geometry.py::test_a_volume_refuses_an_array_in_the_wrong_order",
    "planes in every orientation": "test_planes.py::test_planes_equal_full_resampling_in_every_orientation",
    "a heat map on the wrong side": "test_explain.py::test_the_map_of_a_marker_on_the_left_lies_on_the_left",
    "left and right in pictures": "test_explain.py::test_sides_follow_the_geometry",
    "pictures as radiologists read them": "test_planes.py::test_pictures_lie_as_radiologists_read_them",
    "ROI on another grid, in training": "test_fingerprint.py::test_roi_on_another_grid",
    "ROI on another grid, copied sequence, case twice": "test_check.py::test_exactly_this_problem",
    "ROI on another grid, in predict": "test_samples.py::test_what_keeps_a_case_from_being_prepared_is_one_line",
    "patient on both sides of a split": "test_walls.py::test_patient_on_both_sides_of_a_split_is_refused",
    "same patient twice": "test_splits.py::test_properties_of_every_split",
    "short stream read as zeros": "test_geometry.py::test_every_fault_is_one_line_and_nothing_leaks",
}
CENTRE_MM, AWAY_MM = np.array([9.0, -14.0, 21.0]), 18.0
MARKERS = {"L": (1.0, 0.0, 0.0), "P": (0.0, 1.0, 0.0), "S": (0.0, 0.0, 1.0)}
BRIGHTNESS = {"L": 400, "P": 600, "S": 800}
PIXELS = {  # steps over rows and columns, as a radiologist reads the planes: the patient's left is on the right
    "axial": {"L": (0, 1), "P": (1, 0)},
    "sagittal": {"P": (0, 1), "S": (-1, 0)},
    "coronal": {"L": (0, 1), "S": (-1, 0)},
}
SHOWN_IN = {"axial": "LP", "sagittal": "PS", "coronal": "LS"}


@pytest.mark.parametrize("place", sorted(set(ELSEWHERE.values())))
def test_a_trap_that_is_held_elsewhere_is_held_there(place):
    file, name = place.split("::")
    tree = ast.parse((Path(__file__).parent / file).read_text())
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


class TestOrientation:
    """Markers on the patient's left, back and top, of different brightness, in every way to store an image."""

    @pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
    @pytest.mark.parametrize("number", range(48))
    def test_markers_come_out_at_their_place_in_every_plane_and_heat_map(self, tmp_path, number, ending):
        image, roi = self._write(tmp_path, ORIENTATIONS[number], ending)
        volume, drawn = read_volume(image), read_volume(roi)
        planes = find_planes(drawn.array != 0, drawn.geometry, 1.0, 60.0)
        for plane in planes:
            picture = sample_points(volume, plane.points_mm(), None)
            middle, away = picture.shape[0] // 2, round(AWAY_MM)
            for side in SHOWN_IN[plane.name]:
                row, column = (away * step for step in PIXELS[plane.name][side])
                assert picture[middle + row, middle + column] > 0.7 * BRIGHTNESS[side]
                assert picture[middle - row, middle - column] < 0.1 * BRIGHTNESS[side]
            self._require_labels(plane)
            assert sample_roi(Volume(drawn.array != 0, drawn.geometry), plane.points_mm()).any()
            heat = paint_pictures(read_geometry(image), [(plane, picture)])
            at = points_of(heat.geometry)[np.unravel_index(heat.array.argmax(), heat.array.shape)]
            assert np.linalg.norm(at - self._marker_mm(SHOWN_IN[plane.name][-1])) < 4.0

    @staticmethod
    def _marker_mm(side):
        return CENTRE_MM + AWAY_MM * np.array(MARKERS[side])

    def _write(self, folder, direction, ending):
        grid = grid_around(CENTRE_MM, (34, 36, 32), (2.0, 2.0, 2.0), tuple(direction.ravel().tolist()))
        array = np.zeros(grid.size_xyz[::-1], dtype=np.float32)
        for side, value in BRIGHTNESS.items():
            array += value * ball(grid, self._marker_mm(side), (3.5, 3.5, 3.5)).array
        image, roi = folder / f"case_0000{ending}", folder / f"case{ending}"
        write_volume(image, Volume(array, grid))
        write_volume(roi, ball(grid, CENTRE_MM))
        return image, roi

    @staticmethod
    def _require_labels(plane):
        top, bottom = side_labels(plane.row_step_mm)
        left, right = side_labels(plane.column_step_mm)
        expected = {"axial": "APRL", "sagittal": "SIAP", "coronal": "SIRL"}[plane.name]
        assert f"{top}{bottom}{left}{right}" == expected


SCALES = {1: 1e-3, 3: 1e3}  # of NIfTI's xyzt_units: metres, micrometres


class TestUnits:
    @pytest.mark.parametrize("code", SCALES)
    def test_a_header_that_names_its_unit_is_read_in_millimetres(self, tmp_path, code):
        path = self._written(tmp_path, SCALES[code], code)
        assert read_volume(path).geometry.spacing_mm == pytest.approx((2.0, 2.0, 5.0), rel=1e-5)

    @pytest.mark.parametrize("scale", SCALES.values(), ids=["metres", "micrometres"])
    def test_a_header_that_does_not_is_told_by_check(self, make_dataset, tmp_path, scale):
        folder = make_dataset(tmp_path)
        for path in (folder / "imagesTr/case_01_0000.nii.gz", folder / "labelsTr/case_01.nii.gz"):
            found = sitk.ReadImage(str(path))
            found.SetSpacing([step * scale for step in found.GetSpacing()])
            sitk.WriteImage(found, str(path))
        told = [problem for problem in check_dataset(folder).problems if problem.case == "case_01"]
        assert told and all("are the units metres or micrometres?" in problem.repair for problem in told)

    @staticmethod
    def _written(folder, scale, code):
        image = sitk.GetImageFromArray(np.ones((4, 5, 6), dtype=np.float32))
        image.SetSpacing([scale * step for step in (2.0, 2.0, 5.0)])
        path = folder / "unit.nii.gz"
        sitk.WriteImage(image, str(path))
        content = bytearray(gzip.decompress(path.read_bytes()))
        struct.pack_into("<B", content, 123, code)
        path.write_bytes(gzip.compress(bytes(content)))
        return path


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    """Twelve phantom patients of two hospitals, and three of a third one, T2WI and CE-T1WI."""
    return write_phantom(tmp_path_factory.mktemp("phantom") / "dataset", cases=12, external_cases=3)


def measured(folder):
    """Fingerprint of the training cohort of `folder`, and what check measures of every case."""
    from autodls.planning.check_images import CaseTask, check_case

    cohort = read_cohort(folder)
    settings = cohort.description
    tasks = [CaseTask(case, folder, settings.roi_channel, settings.roi_labels, True) for case in cohort.cases]
    return extract_fingerprint(cohort), {task.case.id: check_case(task).measures for task in tasks}


@pytest.fixture(scope="module")
def looks(phantom):
    return measured(phantom)


def with_changes(case, sequence, **changes):
    """The measures of a case with fields of one sequence changed."""
    fields = {**case[sequence].__dict__, **changes}
    return {**case, sequence: SequenceMeasure(**fields)}


def times(values, factor):
    return tuple(factor * value for value in values)


CT = {
    "foreground_percentiles": (-1000.0, -110.0, 35.0, 320.0, 1200.0),
    "roi_percentiles": (0.0, 20.0, 45.0, 70.0, 90.0),
}
ODD = {
    "spacing": (lambda m: {"spacing_mm": times(m.spacing_mm, 2.5)}, "voxel spacing"),
    "field of view": (lambda m: {"shape": times(m.shape, 3)}, "field of view"),
    "obliqueness": (lambda m: {"obliqueness_deg": m.obliqueness_deg + 30.0}, "oblique by"),
    "intensities times 1000": (
        lambda m: {name: times(getattr(m, name), 1000) for name in ("foreground_percentiles", "roi_percentiles")},
        "median intensity",
    ),
    "modality": (lambda _: CT, "contrast"),
}  # fmt: skip


class TestUnlikeTraining:
    def test_cases_of_the_same_kind_are_not_flagged(self, looks):
        """Training cases and those of a hospital that was not trained on: 0 of 15."""
        fingerprint, cases = looks
        assert len(cases) == 15
        assert [flag for case in cases.values() for flag in ood_flags(case, fingerprint.sequences)] == []

    @pytest.mark.parametrize("odd", ODD)
    def test_what_differs_is_said_of_that_sequence_alone(self, looks, odd):
        fingerprint, cases = looks
        change, said = ODD[odd]
        changed = with_changes(cases["EX0001"], "T2WI", **change(cases["EX0001"]["T2WI"]))
        flags = ood_flags(changed, fingerprint.sequences)
        assert sum(said in flag for flag in flags) == 1 or odd == "modality"
        assert any(said in flag for flag in flags)
        assert all(flag.startswith("T2WI is unlike the training images: ") or "swapped" in flag for flag in flags)

    def test_axes_that_are_stored_in_another_order_are_no_difference(self, looks):
        fingerprint, cases = looks
        seen = cases["EX0002"]["T2WI"]
        turned = {"spacing_mm": seen.spacing_mm[::-1], "shape": seen.shape[::-1]}
        assert ood_flags(with_changes(cases["EX0002"], "T2WI", **turned), fingerprint.sequences) == []

    def test_swapped_sequences(self, looks):
        fingerprint, cases = looks
        for case in cases.values():
            flags = ood_flags({"T2WI": case["CE-T1WI"], "CE-T1WI": case["T2WI"]}, fingerprint.sequences)
            assert "T2WI and CE-T1WI look swapped, by their contrast in training" in flags

    @pytest.mark.parametrize(("times_as_large", "told"), [(1.0, False), (0.001, True), (1000.0, True)])
    def test_an_roi_of_another_size(self, looks, times_as_large, told):
        """A voxel in the place of a tumour, or the whole head."""
        seen = looks[0].tumour
        flags = tumour_flags(seen.volume_ml.median * times_as_large, seen, looks[0].cases)
        assert [flag.startswith("the ROI is unlike those of the training cases: ") for flag in flags] == [True] * told
        assert tumour_flags(seen.volume_ml.median * times_as_large, seen, 4) == []

    def test_few_training_cases_say_nothing(self, looks):
        fingerprint, cases = looks
        few = {name: one.model_copy(update={"cases": 4}) for name, one in fingerprint.sequences.items()}
        assert ood_flags(with_changes(cases["EX0001"], "T2WI", **CT), few) == []

    def test_real_gliomas_are_flagged_for_their_field_of_view_alone(self, shared_data):
        """Each patient in turn left out: 3 of 34 have a field of view of 400 mm and more, the others 256 mm."""
        from autodls.planning.fingerprint import _sequence
        from autodls.planning.measure import MeasureTask, measure_case

        cohort = read_cohort(shared_data / "lgg_ht")
        settings = cohort.description
        cases = [measure_case(MeasureTask(case, settings.roi_channel, settings.roi_labels)) for case in cohort.cases]
        flagged = []
        for number, case in enumerate(cases):
            others = cases[:number] + cases[number + 1 :]
            flagged.append(ood_flags(case.sequences, {name: _sequence(name, others) for name in settings.sequences}))
        assert sum(map(bool, flagged)) == 3
        assert all("field of view 4" in flag for flag in itertools.chain(*flagged))


def one_voxel(path):
    """Leave one voxel of the ROI at `path`, in its middle."""
    drawn = sitk.ReadImage(str(path))
    array = sitk.GetArrayFromImage(drawn)
    inside = np.argwhere(array)
    array[...] = 0
    array[tuple(inside[len(inside) // 2])] = 1
    point = sitk.GetImageFromArray(array)
    point.CopyInformation(drawn)
    sitk.WriteImage(point, str(path))


class TestPredictSays:
    """`predict` writes what differs, case by case, into scores.csv and predict.json."""

    def test_case_by_case(self, make_dataset, tmp_path):
        model = ModelFolder(tmp_path / "model")
        write_model_folder(model.root)
        dataset = make_dataset(tmp_path / "dataset", training=8, held_out=2)
        extract_fingerprint(read_cohort(dataset)).save(model.fingerprint)
        record = ModelRecord.load(model.record, "")
        hashed = {"fingerprint_sha256": sha256_of_file(model.fingerprint)}
        record.model_copy(update=hashed).sealed().save(model.record)
        point = dataset / "labelsTr" / "case_09.nii.gz"
        one_voxel(point)
        odd = dataset / "imagesTr" / "case_08_0001.nii.gz"
        found = sitk.ReadImage(str(odd))
        sitk.WriteImage(found * 1000, str(odd))
        words = ("-i", dataset / "imagesTr", "--rois", dataset / "labelsTr", "-o", tmp_path / "out")
        assert autodls("predict", "-m", model.root, *words).status == 0
        told = json.loads((tmp_path / "out" / "predict.json").read_text())["cases"]
        assert [case["case"] for case in told if case["flags"]] == ["case_08", "case_09"]
        assert "the ROI is unlike those of the training cases: " in " ".join(told[9]["flags"])
        assert not any("a guess" in flag for case in told for flag in case["flags"])
        (dataset / "imagesTr" / "case_00_0001.nii.gz").write_bytes(
            (dataset / "imagesTr/case_00_0000.nii.gz").read_bytes()
        )
        assert autodls("predict", "-m", model.root, *words, "--overwrite").status == 0
        assert "are the same file" in (tmp_path / "out" / "scores.csv").read_text()
        assert "T2WI is unlike the training images: median intensity" in (tmp_path / "out" / "scores.csv").read_text()


class TestPlace:
    """An image whose header has lost the codes of its transforms: ITK takes its axes for those of the body."""

    def test_check_and_predict_say_that_left_and_right_are_a_guess(self, make_dataset, tmp_path):
        dataset = make_dataset(tmp_path / "dataset", training=8, held_out=2)
        for path in (dataset / "imagesTr/case_08_0000.nii.gz", dataset / "labelsTr/case_08.nii.gz"):
            content = bytearray(gzip.decompress(path.read_bytes()))
            struct.pack_into("<2h", content, 252, 0, 0)
            path.write_bytes(gzip.compress(bytes(content)))
        told = [str(problem) for problem in check_dataset(dataset).problems if "a guess" in str(problem)]
        assert len(told) == 1 and "case_08: CE-T1WI: its header does not say how it lies" in told[0]
        write_model_folder(tmp_path / "model")
        words = ("-i", dataset / "imagesTr", "--rois", dataset / "labelsTr", "-o", tmp_path / "out")
        assert autodls("predict", "-m", tmp_path / "model", *words).status == 0
        cases = json.loads((tmp_path / "out" / "predict.json").read_text())["cases"]
        assert [case["case"] for case in cases if any("a guess" in flag for flag in case["flags"])] == ["case_08"]


class TestCopiesInPredict:
    """The same file twice, told from the hashes that `predict` notes."""

    @staticmethod
    def flags(**inputs):
        scores = [
            CaseScore(
                case=case,
                dls=0.5,
                call="low",
                cutoff=0.6,
                spread=0.1,
                dls_raw=0.5,
                sequences={},
                rois="manual",
                flags=(),
            )
            for case in inputs
        ]
        made = Prediction(version="1", model_sha256="", target="", cases=tuple(scores), failed=(), inputs=inputs)
        return {score.case: score.flags for score in with_copies_flagged(made).cases}

    def test_one_sequence_for_another(self):
        told = self.flags(a={"T2WI": "1", "CE-T1WI": "1", "roi": "2"}, b={"T2WI": "3", "CE-T1WI": "4", "roi": "2"})
        assert told == {"a": ("CE-T1WI and T2WI are the same file",), "b": ()}

    def test_one_file_under_two_ids(self):
        told = self.flags(a={"T2WI": "1"}, b={"T2WI": "1"}, c={"T2WI": "2"})
        assert told == {
            "a": ("T2WI is the same file as T2WI of case b",),
            "b": ("T2WI is the same file as T2WI of case a",),
            "c": (),
        }

    def test_one_file_under_many_ids_is_one_flag_each(self):
        told = self.flags(**{f"case_{number}": {"T2WI": "1"} for number in range(40)})
        assert told["case_7"] == ("T2WI is the same file as T2WI of case case_0 and 38 more",)
        assert {len(flags) for flags in told.values()} == {1}


class TestCheckSays:
    """`check` finds what no single file shows."""

    @pytest.fixture
    def dataset(self, phantom, tmp_path):
        return shutil.copytree(phantom, tmp_path / "dataset")

    @staticmethod
    def said(dataset):
        problems = check_dataset(dataset).problems
        return {case: "".join(one.what for one in problems if one.case == case) for case in {p.case for p in problems}}

    def test_nothing_of_a_sound_cohort(self, dataset):
        assert self.said(dataset) == {}

    def test_sequences_swapped_in_one_case(self, dataset):
        first, second = (dataset / "imagesTr" / f"PH0003_000{channel}.nii.gz" for channel in (0, 1))
        held = second.rename(second.with_name("held"))
        first.rename(second)
        held.rename(first)
        assert "T2WI and CE-T1WI look swapped" in self.said(dataset)["PH0003"]

    def test_intensities_of_one_case_times_1000(self, dataset):
        path = dataset / "imagesTr" / "PH0005_0001.nii.gz"
        found = sitk.Cast(sitk.ReadImage(str(path)), sitk.sitkFloat32)
        sitk.WriteImage(found * 1000, str(path))
        assert "CE-T1WI has a median intensity of" in self.said(dataset)["PH0005"]

    @pytest.mark.parametrize(("unit", "loud"), [("days", True), ("weeks", False), ("months", False), ("years", False)])
    def test_follow_up_in_another_unit(self, dataset, unit, loud):
        """The longest follow-up is 21 months; 21 years are possible, 21 days are not a study."""
        edit_json(dataset / "dataset.json", autodls__survival__unit=unit)
        said = self.said(dataset)
        assert ("the longest follow-up is" in said.get("", "")) == loud, said

    def test_days_that_are_called_months(self, dataset):
        table = dataset / "clinical.csv"
        first, rest = table.read_text().split("\nPH0002", 1)
        table.write_text(first.replace(first.split(",")[-2], "1500") + "\nPH0002" + rest)
        assert "the longest follow-up is 1500 months" in self.said(dataset)[""]

    def test_one_time_in_days_among_months(self, dataset):
        """The longest follow-up is then a possible one; it is that of its case which is unlike the others."""
        table = dataset / "clinical.csv"
        header, first, *rest = table.read_text().splitlines()
        cells = dict(zip(header.split(","), first.split(","), strict=True))
        column = json.loads((dataset / "dataset.json").read_text())["autodls"]["survival"]["time"]
        cells[column] = "240"
        table.write_text("\n".join([header, ",".join(cells.values()), *rest]) + "\n")
        said = self.said(dataset)
        assert list(said) == ["PH0001"] and "240 months" in said["PH0001"] and "times the median" in said["PH0001"]

    def test_the_same_image_under_two_patients(self, dataset):
        images = dataset / "imagesTr"
        shutil.copyfile(images / "PH0001_0001.nii.gz", images / "PH0002_0001.nii.gz")
        assert "has the same voxels as an image of case PH0001" in self.said(dataset)["PH0002"]


class TestInvertedLabels:
    @pytest.mark.parametrize(("inverted", "loud"), [(False, False), (True, True)])
    def test_an_auc_below_chance_is_told(self, inverted, loud):
        chance = np.random.default_rng(0)
        labels = chance.random(80) < 0.5
        scores = 1 / (1 + np.exp(-chance.normal(2.0 * (labels != inverted) - 1.0)))
        table = ScoreTable(("dls",), {"all": CohortTable(80, {"dls": scores}, labels)})
        said = [warning for warning in evaluate_table(table, Choices({}, None, None)).warnings if "inverted" in warning]
        assert bool(said) == loud

    def test_train_says_it_too(self, capsys):
        from autodls.evaluation.score_auc import ScoreAuc
        from autodls.stages.train import _warn

        row = ScoreAuc(cohort="oof", row="dls", n=80, positives=40, value=0.2, low=0.1, high=0.3, reason=None)
        _warn([row, row.model_copy(update={"high": 0.6})], Terminal())
        show_aucs("AUC", [row])
        said = capsys.readouterr()
        assert said.err.count("inverted?") == 1 and "0.200" in said.out

    @pytest.mark.parametrize(("auc", "loud"), [(0.0, True), (1.0, False), (None, False)])
    def test_perfectly_inverted_labels_have_no_interval_and_are_told(self, capsys, auc, loud):
        from autodls.evaluation.score_auc import ScoreAuc
        from autodls.stages.train import _warn

        scores, labels = np.linspace(0.1, 0.9, 20), np.arange(20) >= 10
        if auc is not None:
            table = ScoreTable(("dls",), {"all": CohortTable(20, {"dls": scores}, labels == bool(auc))})
            assert loud == any(
                "inverted" in warning for warning in evaluate_table(table, Choices({}, None, None)).warnings
            )
        row = ScoreAuc(
            cohort="oof", row="dls", n=20, positives=10, value=auc, low=None, high=None, reason="no interval"
        )
        _warn([row], Terminal())
        assert ("inverted" in capsys.readouterr().err) == loud
