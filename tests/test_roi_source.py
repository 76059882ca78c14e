"""Whose ROI a case is scored with: given or drawn, flagged where the model was trained on the other kind."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from made_up_masks import DrawsAsGiven, drawing
from tiny_model_folder import small_volume_plan, write_model_folder
from tiny_models import tiny_model

from autodls.errors import ArgumentError, DatasetError, ModelFolderError
from autodls.imaging.volumes import read_labels, read_volume
from autodls.inference.heldout_rois import HeldoutDrawer, draw_heldout_rois
from autodls.inference.inputs import list_inputs
from autodls.inference.model_folder import load_model
from autodls.inference.predict import predict_cases
from autodls.inference.prediction import write_prediction
from autodls.inference.rois import RoiSource, automatic_rois, draw_roi
from autodls.records.cohort import read_cohort
from autodls.records.files import sha256_of_file, write_text
from autodls.records.table import read_table
from autodls.records.workspace import Workspace
from autodls.stages import session
from autodls.stages.session import trained_rois


@pytest.fixture
def study(tmp_path, make_dataset):
    return make_dataset(tmp_path / "study", training=2, held_out=0)


def model_of(rois):
    model = tiny_model(small_volume_plan())
    return replace(model, record=model.record.model_copy(update={"rois": rois}))


def scored(model, study, source, given=True):
    inputs = list_inputs(study / "imagesTr", study / "labelsTr" if given else None, model.record)
    return predict_cases(model, inputs, source, lambda _case: None)


def test_a_drawn_roi_scores_as_the_same_roi_given(study, tmp_path):
    model = model_of("auto")
    segmenter, source = drawing(model, study, tmp_path / "rois")
    drawn, given = scored(model, study, source, given=False), scored(model, study, RoiSource(model.record))
    assert [case.dls for case in drawn.cases] == [case.dls for case in given.cases]
    assert [case.rois for case in drawn.cases] == ["auto"] * 2
    assert [case.rois for case in given.cases] == ["manual"] * 2
    assert segmenter.seen == [("case_00", {"CE-T1WI", "T2WI"}), ("case_01", {"CE-T1WI", "T2WI"})]
    assert (drawn.cases[0].drawn.confidence, drawn.cases[0].drawn.disagreement) == (0.8, 0.1)
    assert given.cases[0].drawn is None


def test_the_prediction_names_the_mask_that_was_used(study, tmp_path):
    model = model_of("auto")
    drawn = scored(model, study, drawing(model, study, tmp_path / "rois")[1], given=False)
    for case in drawn.cases:
        assert case.mask_sha256 == sha256_of_file(tmp_path / "rois" / f"{case.case}.nii.gz")
    assert scored(model, study, RoiSource(model.record)).cases[0].mask_sha256 is None


def test_an_older_mask_does_not_stay_where_drawing_fails(study, tmp_path):
    class FindsNothing:
        def segment(self, case, images):
            raise DatasetError(f"case {case}: unreadable")

    path = tmp_path / "case_00.nii.gz"
    path.write_bytes(b"of an earlier run")
    with pytest.raises(DatasetError):
        draw_roi(FindsNothing(), "case_00", {}, path)
    assert not path.exists()


def test_the_mask_that_was_used_is_written_on_the_roi_channels_grid(study, tmp_path):
    model = model_of("auto")
    scored(model, study, drawing(model, study, tmp_path / "rois")[1], given=False)
    written, manual = (read_labels(path / "case_00.nii.gz") for path in (tmp_path / "rois", study / "labelsTr"))
    np.testing.assert_array_equal(written.array, manual.array > 0)
    assert written.geometry.same_grid(read_volume(study / "imagesTr" / "case_00_0000.nii.gz").geometry)


def test_a_mask_that_cannot_be_written_is_named_without_its_folder(study, tmp_path):
    model, folder = model_of("auto"), tmp_path / "Dr.Smith-out"
    (folder / "case_00.nii.gz").mkdir(parents=True)
    (failure,) = scored(model, study, drawing(model, study, folder)[1], given=False).failed
    assert failure.reason.startswith("case_00.nii.gz: a volume of") and "Smith" not in failure.reason


def test_a_held_out_case_that_cannot_be_drawn_is_named_without_its_folder(study, tmp_path):
    class Refuses:
        def segment(self, case, images):
            raise DatasetError(f"case {case}: {images['T2WI']}: damaged")

    drawer = HeldoutDrawer("0" * 64, Refuses, lambda case: tmp_path / case, tmp_path / "rois.json")
    draw_heldout_rois(read_cohort(study).training[:1], drawer, lambda _case: None)
    text = (tmp_path / "rois.json").read_text()
    assert "case_00_0001.nii.gz: damaged" in text and str(tmp_path) not in text


@pytest.mark.parametrize(
    ("trained", "draw", "flag"),
    [
        ("manual", False, None),
        ("auto", True, None),
        ("auto", False, "scored with a manual ROI by a model that was trained on automatic ones"),
        ("manual", True, "scored with an automatic ROI by a model that was trained on manual ones"),
    ],
)
def test_a_model_says_when_it_is_given_the_other_kind(study, tmp_path, trained, draw, flag):
    model = model_of(trained)
    source = drawing(model, study, tmp_path / "rois")[1] if draw else RoiSource(model.record)
    prediction = scored(model, study, source, given=not draw)
    assert all(case.flags[:1] == ((flag,) if flag else ()) for case in prediction.cases)
    write_prediction(tmp_path / "out", prediction, model.plan.sequences)
    assert {row["flags"] for row in read_table(tmp_path / "out" / "scores.csv")} == {flag or ""}


def test_doubts_about_a_mask_stand_in_every_output(study, tmp_path):
    model = model_of("auto")
    prediction = scored(model, study, drawing(model, study, tmp_path / "rois", flags=("faint",))[1], given=False)
    write_prediction(tmp_path / "out", prediction, model.plan.sequences)
    assert {row["flags"] for row in read_table(tmp_path / "out" / "scores.csv")} == {"faint"}
    assert '"faint"' in (tmp_path / "out" / "predict.json").read_text()


def test_a_case_that_cannot_be_drawn_is_listed_and_others_are_scored(study, tmp_path):
    model = model_of("auto")
    _, source = drawing(model, study, tmp_path / "rois")
    (study / "labelsTr" / "case_00.nii.gz").unlink()
    prediction = scored(model, study, source, given=False)
    assert [case.case for case in prediction.cases] == ["case_01"]
    assert [case.case for case in prediction.failed] == ["case_00"]


def test_given_rois_are_hashed_as_input_and_drawn_ones_are_not(study, tmp_path):
    model = model_of("manual")
    assert "roi" in scored(model, study, RoiSource(model.record)).inputs["case_00"]
    drawn = scored(model, study, drawing(model, study, tmp_path / "rois")[1], given=False)
    assert set(drawn.inputs["case_00"]) == {"CE-T1WI", "T2WI"}


def test_a_model_without_networks_that_draw_asks_for_rois(tmp_path):
    model = model_of("manual")
    with pytest.raises(ArgumentError, match=r"--rois is missing.*autodls segment fold all"):
        automatic_rois(model, tmp_path, None, tmp_path.joinpath)


def test_an_altered_segmenter_is_refused_with_the_model(tmp_path):
    model = tiny_model(small_volume_plan())
    record = model.record.model_copy(update={"segmenter_sha256": "0" * 64})
    write_model_folder(tmp_path / "model", replace(model, record=record))
    with pytest.raises(ModelFolderError, match=r"segmenter\.json: missing"):
        load_model(tmp_path / "model", "cpu")
    write_text(tmp_path / "model" / "segmentation" / "segmenter.json", "{}")
    with pytest.raises(ModelFolderError, match=r"segmenter\.json: altered"):
        load_model(tmp_path / "model", "cpu")


@pytest.mark.parametrize(
    ("trained", "drawn", "expected"),
    [
        (("manual", "auto"), True, "auto"),
        (("manual", "auto"), False, "manual"),
        (("manual",), True, "manual"),
        (("auto",), False, "auto"),
    ],
)
def test_predict_takes_the_model_that_fits_the_rois_at_hand(tmp_path, trained, drawn, expected):
    workspace = Workspace(tmp_path)
    for kind in trained:
        write_text(workspace.of(kind).model.record, "{}")
    assert session.model_of(workspace, drawn=drawn) == workspace.of(expected).model.root


@pytest.mark.parametrize(
    ("trained", "asked", "expected"),
    [
        ((), None, "manual"),
        (("auto",), None, "auto"),
        (("manual", "auto"), None, "manual"),
        (("auto",), "manual", "manual"),
    ],
)
def test_commands_take_the_model_that_there_is(tmp_path, trained, asked, expected):
    workspace = Workspace(tmp_path)
    for kind in trained:
        write_text(workspace.of(kind).model.record, "{}")
    assert trained_rois(workspace, asked) == expected


def test_both_kinds_share_plan_and_masks_and_nothing_else(tmp_path):
    manual, auto = Workspace(tmp_path), Workspace(tmp_path).of("auto")
    for name in ("fingerprint", "plan", "splits", "lock", "segmented"):
        assert getattr(manual, name) == getattr(auto, name)
    for name in ("oof_scores", "metrics", "tables", "figures", "report"):
        assert getattr(manual, name) != getattr(auto, name)
    assert manual.sample("x") != auto.sample("x") and manual.model.root != auto.model.root
    assert manual.auto_roi("x") == auto.auto_roi("x")


def heldout_drawer(folder, load):
    return HeldoutDrawer("0" * 64, load, lambda case: folder / f"{case}.nii.gz", folder / "rois.json")


def test_what_evaluate_drew_of_held_out_cases_the_benchmark_does_not_draw_again(study, tmp_path):
    model, cases, folder = model_of("auto"), read_cohort(study).training, tmp_path / "heldout"
    segmenter = DrawsAsGiven(study / "labelsTr", flags=("faint",))
    first = scored(model, study, RoiSource(model.record, heldout_drawer(folder, lambda: segmenter).used), given=False)
    assert [case.rois for case in first.cases] == ["auto"] * 2
    assert all(case.flags == ("faint",) for case in first.cases)

    second = heldout_drawer(folder, lambda: pytest.fail("the networks were read"))
    found = draw_heldout_rois(cases, second, lambda _case: None)
    assert {row.case: (row.drawn, row.drawn.flags) for row in found.cases} == {
        case.case: (case.drawn, case.flags) for case in first.cases
    }

    shutil.copyfile(folder / "case_00.nii.gz", folder / "case_01.nii.gz")
    draw_heldout_rois(cases, heldout_drawer(folder, lambda: segmenter), lambda _case: None)
    assert [case for case, _ in segmenter.seen] == ["case_00", "case_01", "case_01"]


def test_a_held_out_case_that_cannot_be_drawn_is_said_for_scoring_too(study, tmp_path):
    model, folder = model_of("auto"), tmp_path / "heldout"

    class FindsNothing:
        def segment(self, case, images):
            raise DatasetError(f"case {case}: no tumour found")

    for load in (FindsNothing, lambda: pytest.fail("the networks were read")):
        prediction = scored(model, study, RoiSource(model.record, heldout_drawer(folder, load).used), given=False)
        assert not prediction.cases
        assert all(case.reason == f"case {case.case}: no tumour found" for case in prediction.failed)
        assert len(prediction.failed) == 2
