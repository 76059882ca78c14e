"""Prediction of new cases by a tiny locked model: every score, every flag, and every way a case can be unusable."""

import csv
import gzip
import hashlib
import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from command_line import autodls
from tiny_model_folder import SEQUENCES, small_volume_plan, write_model_folder
from tiny_models import tiny_model

from autodls.errors import DatasetError
from autodls.inference.heldout import score_held_out, write_held_out
from autodls.inference.inputs import files_of_nobody, list_inputs
from autodls.inference.predict import predict_cases
from autodls.inference.prediction import Prediction, write_prediction
from autodls.inference.rois import RoiSource
from autodls.preprocessing.case import prepare_case
from autodls.records.cohort import read_cohort

CASES = ("case_00", "case_01", "case_02")


@pytest.fixture(scope="module")
def model():
    return tiny_model(small_volume_plan())


@pytest.fixture
def study(tmp_path, make_dataset):
    """Images and ROIs of three cases, the second without T2WI."""
    folder = tmp_path / "study"
    return make_dataset(folder, training=3, held_out=0, missing=(("case_01", "T2WI"),))


def predict(model, study):
    inputs = list_inputs(study / "imagesTr", study / "labelsTr", model.record)
    return predict_cases(model, inputs, RoiSource(model.record), lambda _case: None)


def image(study, case, channel=0):
    return study / "imagesTr" / f"{case}_{channel:04d}.nii.gz"


def roi(study, case):
    return study / "labelsTr" / f"{case}.nii.gz"


def rows_of(path):
    return list(csv.DictReader(io.StringIO(path.read_text())))


class TestScores:
    def test_are_those_of_the_ensemble(self, model, study):
        for score in predict(model, study).cases:
            assert 0 < score.dls < 1 and 0 < score.dls_raw < 1 and score.spread > 0
            assert score.call == ("high" if score.dls >= model.record.cutoff else "low")
            assert score.cutoff == model.record.cutoff and score.rois == "manual"

    def test_a_score_at_the_cutoff_is_high(self, model, study):
        score = predict(model, study).cases[0]
        at = model.record.model_copy(update={"cutoff": score.dls})
        above = model.record.model_copy(update={"cutoff": float(np.nextafter(score.dls, 1))})
        for record, call in ((at, "high"), (above, "low")):
            locked = type(model)(record, model.plan, model.folds, "")
            assert predict(locked, study).cases[0].call == call

    def test_do_not_depend_on_the_other_cases(self, model, study):
        together = {score.case: score for score in predict(model, study).cases}
        for case in ("case_00", "case_01"):
            for path in (image(study, case), image(study, case, 1), roi(study, case)):
                path.unlink(missing_ok=True)
        assert predict(model, study).cases == (together["case_02"],)

    def test_are_the_same_bytes_twice(self, model, study, tmp_path):
        for name in ("first", "second"):
            write_prediction(tmp_path / name, predict(model, study), SEQUENCES)
        for name in ("scores.csv", "predict.json"):
            assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()

    def test_are_in_the_order_of_ids_and_every_case_is_announced(self, model, study):
        told = []
        inputs = list_inputs(study / "imagesTr", study / "labelsTr", model.record)
        prediction = predict_cases(model, inputs, RoiSource(model.record), told.append)
        assert tuple(told) == CASES == tuple(score.case for score in prediction.cases)


def test_a_model_that_is_not_to_be_relied_on_says_so_beside_every_score(model, study, tmp_path):
    record = model.record.model_copy(update={"cautions": ("the model scores all cases alike",)})
    prediction = predict(type(model)(record, model.plan, model.folds, ""), study)
    assert all(score.flags[-1] == "the model scores all cases alike" for score in prediction.cases)
    write_prediction(tmp_path / "out", prediction, SEQUENCES)
    assert all(row["flags"].endswith("all cases alike") for row in rows_of(tmp_path / "out" / "scores.csv"))


class TestOtherPictures:
    """A model scores by the pictures that it was trained on; those of another version are others."""

    SAID = "the model was trained on pictures"

    @pytest.fixture(params=[None, "autodls-sample/3"])
    def older(self, model, request):
        return replace(model, record=model.record.model_copy(update={"sample_format": request.param}))

    def test_flag_every_case(self, model, older, study):
        assert all(score.flags[-1].startswith(self.SAID) for score in predict(older, study).cases)
        assert not any(self.SAID in flag for score in predict(model, study).cases for flag in score.flags)

    def test_are_told_once_with_the_repair(self, older, study, tmp_path):
        write_model_folder(tmp_path / "model", older)
        done = autodls("predict", "-i", study / "imagesTr", "--rois", study / "labelsTr", "-o", tmp_path / "out",
                       "-m", tmp_path / "model")  # fmt: skip
        assert done.err.count(self.SAID) == 1 and "train and lock it anew with this version" in done.err
        assert all(self.SAID in row["flags"] for row in rows_of(tmp_path / "out" / "scores.csv"))

    def test_a_score_that_was_kept_without_the_flag_is_made_anew(self, model, older, tmp_path, make_dataset):
        cases = read_cohort(make_dataset(tmp_path / "study", training=4, held_out=1)).held_out["external"]
        record = tmp_path / "scores.json"

        def scored():
            return score_held_out(
                older.record, lambda: (older, RoiSource(older.record)), cases, record, lambda _case: None
            )

        before = scored()
        unflagged = tuple(score.model_copy(update={"flags": ()}) for score in before.cases)
        write_held_out(record.with_suffix(".csv"), record, before.model_copy(update={"cases": unflagged}), SEQUENCES)
        assert scored().cases == before.cases

    def test_the_seal_of_an_older_model_still_fits(self, older):
        if older.record.sample_format is None:
            assert b"sample_format" not in older.record.sealed().to_bytes()
        assert older.record.sealed().is_sealed


class TestMissingSequence:
    def test_is_flagged_and_scored(self, model, study):
        _, without, complete = predict(model, study).cases
        assert set(without.sequences) == {"CE-T1WI"} and set(complete.sequences) == set(SEQUENCES)
        assert without.flags == ("scored without T2WI",) and complete.flags == ()
        assert np.isfinite(without.dls)

    def test_of_the_roi_channel(self, model, study):
        image(study, "case_02").unlink()
        score = predict(model, study).cases[2]
        assert score.flags == ("scored without CE-T1WI",) and set(score.sequences) == {"T2WI"}

    def test_that_does_not_show_the_tumour(self, model, study):
        path = image(study, "case_00", 1)
        volume = sitk.ReadImage(str(path))
        volume.SetOrigin([origin + 500 for origin in volume.GetOrigin()])
        sitk.WriteImage(volume, str(path))
        score = predict(model, study).cases[0]
        assert "T2WI does not show the tumour and is taken as missing" in score.flags
        assert "T2WI" not in score.sequences


class TestFiles:
    @pytest.fixture
    def out(self, model, study, tmp_path):
        roi(study, "case_02").unlink()
        write_prediction(tmp_path / "out", predict(model, study), SEQUENCES)
        return tmp_path / "out"

    def test_scores_csv(self, out):
        first, second, _ = rows_of(out / "scores.csv")
        promised = ["case", "dls", "call", "cutoff", "spread", *SEQUENCES, "present", "rois", "flags", "failed"]
        assert list(first)[: len(promised)] == promised and list(first)[len(promised) :] == ["dls_raw"]
        assert first["case"] == "case_00" and first["present"] == "CE-T1WI T2WI" and first["flags"] == ""
        assert second["T2WI"] == "" and second["present"] == "CE-T1WI" and second["flags"] == "scored without T2WI"
        assert first["call"] in ("high", "low") and first["rois"] == "manual"
        assert first["failed"] == second["failed"] == ""

    def test_a_case_that_failed_is_a_row_with_its_reason(self, out):
        third = rows_of(out / "scores.csv")[2]
        assert {name for name, cell in third.items() if cell} == {"case", "failed"}
        assert third["case"] == "case_02" and third["failed"].startswith("no ROI file case_02.nii.gz")

    def test_rows_are_in_the_order_of_the_cases_that_were_given(self, model, study, tmp_path):
        roi(study, "case_00").unlink()
        write_prediction(tmp_path / "first", predict(model, study), SEQUENCES)
        assert [row["case"] for row in rows_of(tmp_path / "first" / "scores.csv")] == list(CASES)

    def test_the_table_is_one_that_evaluate_takes(self, out, tmp_path):
        """The failed case is left out and listed: nothing is invented for it."""
        path = out / "scores.csv"
        labelled = [{**row, "y": str(at % 2)} for at, row in enumerate(rows_of(path))]
        with path.open("w", newline="") as handle:
            writer = csv.DictWriter(handle, list(labelled[0]))
            writer.writeheader()
            writer.writerows(labelled)
        answer = autodls("evaluate", "--scores", path, "--label", "y", "--score", "dls", "-o", tmp_path / "judged")
        assert answer.status == 0, answer.err
        found = json.loads((tmp_path / "judged" / "metrics.json").read_text())["cohorts"]["all"]
        assert (found["n"], [row["row"] for row in found["excluded"]]) == (2, [4])

    def test_predict_json(self, out, study, model):
        written = json.loads((out / "predict.json").read_text())
        assert set(written) == {
            "format", "version", "model_sha256", "target", "cases", "failed", "inputs", "computed_in",
        }  # fmt: skip
        assert written["computed_in"] == model.computed_in
        assert written["target"] == model.record.target.name and written["model_sha256"] == model.sha256
        assert [failure["case"] for failure in written["failed"]] == ["case_02"]
        digest = hashlib.sha256(image(study, "case_00", 1).read_bytes()).hexdigest()
        assert written["inputs"]["case_00"]["T2WI"] == digest and "roi" in written["inputs"]["case_00"]

    def test_both_say_the_same_without_loss(self, out):
        prediction = Prediction.model_validate_json((out / "predict.json").read_bytes())
        for score, row in zip(prediction.cases, rows_of(out / "scores.csv")[:2], strict=True):
            assert (score.dls, score.spread, score.dls_raw) == tuple(
                map(float, (row["dls"], row["spread"], row["dls_raw"]))
            )
            assert score.sequences == {name: float(row[name]) for name in SEQUENCES if row[name]}

    def test_no_case_at_all_still_gives_tables(self, model, study, tmp_path):
        for case in CASES:
            roi(study, case).unlink()
        (study / "labelsTr" / "other.txt").write_text("")
        prediction = predict(model, study)
        write_prediction(tmp_path / "out", prediction, SEQUENCES)
        assert len(prediction.failed) == 3
        assert [bool(row["failed"]) for row in rows_of(tmp_path / "out" / "scores.csv")] == [True] * 3


def rewrite(path, change):
    """Write the image anew with changed voxels, on the same grid."""
    volume = sitk.ReadImage(str(path))
    changed = sitk.GetImageFromArray(change(sitk.GetArrayFromImage(volume)))
    changed.CopyInformation(volume)
    sitk.WriteImage(changed, str(path))


def cut_short(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def with_nan(array):
    array[0, 0, 0] = np.nan
    return array


def shift_grid(path):
    volume = sitk.ReadImage(str(path))
    volume.SetOrigin([origin + 3 for origin in volume.GetOrigin()])
    sitk.WriteImage(volume, str(path))


def unpacked_beside(path):
    path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))


DAMAGE = {
    "image cut short": (lambda s: cut_short(image(s, "case_01")), "case_01_0000.nii.gz"),
    "other sequence cut short": (lambda s: cut_short(image(s, "case_00", 1)), "case_00_0001.nii.gz"),
    "image of no bytes": (lambda s: image(s, "case_01").write_bytes(b""), "case_01_0000.nii.gz"),
    "image is text": (lambda s: image(s, "case_01").write_bytes(gzip.compress(b"hello")), "case_01_0000.nii.gz"),
    "image not finite": (lambda s: rewrite(image(s, "case_01"), with_nan), "case_01_0000.nii.gz"),
    "image constant": (lambda s: rewrite(image(s, "case_01"), np.zeros_like), "case_01"),
    "image is a folder": (lambda s: (image(s, "case_01").unlink(), image(s, "case_01").mkdir()), "case_01_0000"),
    "image is a dead link": (
        lambda s: (image(s, "case_01").unlink(), image(s, "case_01").symlink_to("nowhere")),
        "case_01_0000",
    ),
    "image twice": (lambda s: unpacked_beside(image(s, "case_01")), "case_01_0000.nii"),
    "no ROI": (lambda s: roi(s, "case_01").unlink(), "no ROI file case_01.nii.gz"),
    "ROI empty": (lambda s: rewrite(roi(s, "case_01"), np.zeros_like), "case_01.nii.gz"),
    "ROI of other labels": (lambda s: rewrite(roi(s, "case_01"), lambda array: array * 7), "case_01.nii.gz"),
    "ROI on another grid": (lambda s: shift_grid(roi(s, "case_01")), "resample the ROI"),
    "ROI cut short": (lambda s: cut_short(roi(s, "case_01")), "case_01.nii.gz"),
    "ROI is a picture": (lambda s: shutil.copyfile(image(s, "case_01"), roi(s, "case_01")), "case_01.nii.gz"),
}  # fmt: skip


@pytest.mark.parametrize(("damage", "part"), DAMAGE.values(), ids=DAMAGE)
def test_a_bad_case_is_reported_and_stops_no_other(model, study, damage, part):
    before = {score.case: score for score in predict(model, study).cases}
    damage(study)
    prediction = predict(model, study)
    assert len(prediction.failed) == 1
    failure = prediction.failed[0]
    assert failure.case in failure.reason and part in failure.reason and "\n" not in failure.reason
    assert prediction.inputs[failure.case] == {}
    others = [case for case in CASES if case != failure.case]
    assert [before[case] for case in others] == list(prediction.cases)


def test_an_image_that_changes_while_it_is_read_is_not_scored(model, study, monkeypatch):
    """Else the record would name bytes that the score does not come from."""

    def changing(case, images, *rest):
        sample = prepare_case(case, images, *rest)
        if case == "case_00":
            shutil.copyfile(image(study, "case_01"), images["CE-T1WI"])
        return sample

    monkeypatch.setattr("autodls.inference.prepare.prepare_case", changing)
    found = predict(model, study)
    assert [failure.case for failure in found.failed] == ["case_00"] and len(found.cases) == 2
    assert "changed while it was read" in found.failed[0].reason and not found.inputs["case_00"]


def test_a_mask_in_another_order_of_voxels_is_scored_as_it_lies_and_told(model, study):
    before = {score.case: score for score in predict(model, study).cases}["case_01"]
    path = str(roi(study, "case_01"))
    sitk.WriteImage(sitk.DICOMOrient(sitk.ReadImage(path), "RSA"), path)
    after = {score.case: score for score in predict(model, study).cases}["case_01"]
    assert after.dls == before.dls
    told = "ROI: brought onto the grid of its image without resampling: axes exchanged, axes flipped"
    assert [flag for flag in after.flags if flag not in before.flags] == [told]


def test_an_organ_in_the_mask_changes_no_score(model, study):
    """The model knows 2 as its tumour and 1 as something else; a mask of 1 alone is no tumour."""
    before = predict(model, study).cases
    for path in (study / "labelsTr").iterdir():
        found = sitk.ReadImage(str(path))
        sitk.WriteImage(sitk.Cast(found + 1, sitk.sitkUInt8), str(path))
    record = model.record.model_copy(update={"roi_labels": (2,), "other_labels": (1,)})
    knowing = replace(model, record=record)
    assert [score.dls for score in predict(knowing, study).cases] == [score.dls for score in before]
    path = study / "labelsTr" / f"{CASES[0]}.nii.gz"
    sitk.WriteImage(sitk.Cast(sitk.ReadImage(str(path)) > 0, sitk.sitkUInt8), str(path))
    (failure,) = predict(knowing, study).failed
    assert "no voxel is tumour [2], all that is drawn is [1]" in failure.reason


class TestInputs:
    def listed(self, model, study):
        return [case.id for case in list_inputs(study / "imagesTr", study / "labelsTr", model.record)]

    def test_other_files_are_passed_over(self, model, study):
        for name in ("notes.txt", "._case_00_0000.nii.gz", ".case_09_0000.nii.gz", "case_00_0009.nii.gz"):
            (study / "imagesTr" / name).write_bytes(b"")
        assert self.listed(model, study) == list(CASES)
        assert set(list_inputs(study / "imagesTr", study / "labelsTr", model.record)[0].images) == set(SEQUENCES)

    def test_files_that_are_not_read_are_flags_of_their_case(self, model, study):
        images = study / "imagesTr"
        shutil.copyfile(image(study, "case_00"), images / "case_00_0002.nii.gz")
        image(study, "case_02", 1).rename(images / "case_02_0001.nii")
        (images / "case_02_0000.json").write_text("{}")  # beside its image: nothing is missed by it
        prediction = predict(model, study)
        assert prediction.cases[0].flags[0].startswith("case_00_0002.nii.gz is not used: its name ends in no channel")
        assert prediction.failed[0].reason == (
            "case case_02: case_02_0001.nii is not read (its name does not end in '.nii.gz'), and T2WI is missing; "
            "convert it to case_02_0001.nii.gz, or remove it"
        )
        cases = list_inputs(images, None, model.record)
        assert files_of_nobody(images, cases) == ["case_02_0000.json"]

    @pytest.mark.parametrize(
        "name",
        ["case_02_T2.nii.gz", "case_02.nii.gz", "case_02-0001.nii.gz", "case_02_0002.nii.gz"],
    )
    def test_a_file_that_explains_a_gap_is_no_missing_sequence(self, model, study, name):
        image(study, "case_02", 1).rename(study / "imagesTr" / name)
        prediction = predict(model, study)
        assert [score.case for score in prediction.cases] == ["case_00", "case_01"]
        (failure,) = prediction.failed
        assert f"case case_02: {name} is not read" in failure.reason and "T2WI is missing" in failure.reason

    def test_a_channel_that_whole_cases_have_beside_the_model_s_explains_no_gap(self, model, study):
        for case in CASES:
            shutil.copyfile(image(study, case), study / "imagesTr" / f"{case}_0002.nii.gz")
        image(study, "case_02", 1).unlink()
        assert predict(model, study).cases[2].flags[1:] == ("scored without T2WI",)

    @pytest.mark.parametrize(
        "name", ["case_07_0000.nii", "case_07_0000.NII.GZ", "case_07_0000.dcm", "case_07_0002.nii.gz"]
    )
    def test_a_patient_with_no_file_that_can_be_read_is_a_failure(self, model, study, name):
        (study / "imagesTr" / name).write_bytes(b"")
        (failure,) = predict(model, study).failed
        assert failure.case == "case_07" and f"no image that the model can read: {name} is not used" in failure.reason

    def test_an_id_may_end_like_a_channel(self, model, study):
        image(study, "case_00").rename(study / "imagesTr" / "case_0001_0000.nii.gz")
        assert "case_0001" in self.listed(model, study)

    def test_an_unsafe_id(self, model, study):
        image(study, "case_00").rename(study / "imagesTr" / "case 0_0000.nii.gz")
        with pytest.raises(DatasetError, match="case id 'case 0' holds ' '; rename its files"):
            self.listed(model, study)

    @pytest.mark.parametrize(
        ("prepare", "part"),
        [
            (lambda s: shutil.rmtree(s / "imagesTr"), "no such folder"),
            (lambda s: shutil.rmtree(s / "labelsTr"), "no such folder"),
            (lambda s: [path.unlink() for path in (s / "imagesTr").iterdir()], "the folder is empty"),
            (lambda s: [path.unlink() for path in (s / "labelsTr").iterdir()], "the folder is empty"),
            (
                lambda s: [path.rename(path.with_suffix(".mha")) for path in (s / "imagesTr").iterdir()],
                "no file named CASE_0000.nii.gz to CASE_0001.nii.gz",
            ),
        ],
    )
    def test_folders_that_cannot_be_used(self, model, study, prepare, part):
        prepare(study)
        with pytest.raises(DatasetError, match=part):
            self.listed(model, study)


class TestHeldOut:
    def scored(self, model, folder, path):
        cases = read_cohort(folder).held_out["external"]
        record = path.with_suffix(".json")
        prediction = score_held_out(
            model.record, lambda: (model, RoiSource(model.record)), cases, record, lambda _case: None
        )
        write_held_out(path, record, prediction, SEQUENCES)
        return [failure.reason for failure in prediction.failed]

    def test_scores_are_those_of_predict(self, model, tmp_path, make_dataset):
        folder = make_dataset(tmp_path / "study", training=4, held_out=2)
        assert self.scored(model, folder, tmp_path / "scores.csv") == []
        rows = rows_of(tmp_path / "scores.csv")
        predicted = {score.case: score for score in predict(model, folder).cases}
        assert [row["case"] for row in rows] == ["case_04", "case_05"]
        for row in rows:
            assert float(row["dls"]) == predicted[row["case"]].dls
            assert float(row["T2WI"]) == predicted[row["case"]].sequences["T2WI"]

    def test_labels_are_not_looked_at(self, model, tmp_path, make_dataset, edit_table):
        folder = make_dataset(tmp_path / "study", training=4, held_out=2)
        self.scored(model, folder, tmp_path / "before.csv")
        edit_table(folder, "case_04", cps="")
        edit_table(folder, "case_05", cps="not a number")
        self.scored(model, folder, tmp_path / "after.csv")
        assert (tmp_path / "before.csv").read_bytes() == (tmp_path / "after.csv").read_bytes()

    def test_labels_stand_in_the_table_alone(self, model, tmp_path, make_dataset):
        folder, path = make_dataset(tmp_path / "study", training=4, held_out=2), tmp_path / "scores.csv"
        self.scored(model, folder, path)
        record = path.with_suffix(".json")
        before = record.read_bytes()
        labels = {"case_04": True, "case_05": None}
        write_held_out(path, record, Prediction.load(record, ""), SEQUENCES, labels)
        assert [row["label"] for row in rows_of(path)] == ["1", ""] and record.read_bytes() == before

    def test_networks_are_read_once(self, model, tmp_path, make_dataset):
        folder, path = make_dataset(tmp_path / "study", training=4, held_out=2), tmp_path / "scores.csv"
        self.scored(model, folder, path)
        cases = read_cohort(folder).held_out["external"]
        loaded = []
        again = score_held_out(
            model.record, lambda: loaded.append(1), cases, path.with_suffix(".json"), lambda _case: None
        )
        assert loaded == [] and [score.case for score in again.cases] == ["case_04", "case_05"]

    def test_a_bad_case_is_named(self, model, tmp_path, make_dataset):
        folder = make_dataset(tmp_path / "study", training=4, held_out=2)
        cut_short(image(folder, "case_04"))
        failures = self.scored(model, folder, tmp_path / "scores.csv")
        assert len(failures) == 1 and "case_04" in failures[0]
        failed, scored = rows_of(tmp_path / "scores.csv")
        assert (failed["case"], failed["dls"], scored["case"], scored["failed"]) == ("case_04", "", "case_05", "")
        assert failed["failed"] in failures[0] and float(scored["dls"]) > 0

    def test_a_file_that_cannot_be_read_stops_no_other(self, model, tmp_path, make_dataset):
        folder = make_dataset(tmp_path / "study", training=4, held_out=2)
        image(folder, "case_04").unlink()
        image(folder, "case_04").symlink_to("/proc/self/mem")  # a plain file that even root cannot read
        failures = self.scored(model, folder, tmp_path / "scores.csv")
        assert len(failures) == 1 and "case_04" in failures[0]
        failed, scored = rows_of(tmp_path / "scores.csv")
        assert (failed["case"], failed["dls"], scored["case"], scored["failed"]) == ("case_04", "", "case_05", "")
        assert failed["failed"] in failures[0] and float(scored["dls"]) > 0

    def test_a_file_that_explains_a_gap_is_no_missing_sequence(self, model, tmp_path, make_dataset):
        """Also where the case was scored before with the same images."""
        folder = make_dataset(tmp_path / "study", training=4, held_out=2)
        image(folder, "case_04", 1).rename(tmp_path / "aside.nii.gz")
        assert self.scored(model, folder, tmp_path / "scores.csv") == []
        (tmp_path / "aside.nii.gz").rename(folder / "imagesTr" / "case_04_T2.nii.gz")
        (failure,) = self.scored(model, folder, tmp_path / "scores.csv")
        assert "case case_04: imagesTr/case_04_T2.nii.gz is not read" in failure
        assert [row["case"] for row in rows_of(tmp_path / "scores.csv") if not row["failed"]] == ["case_05"]
