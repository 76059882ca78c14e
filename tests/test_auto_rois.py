"""A classifier trained on automatic ROIs, beside the one trained on manual ones: the same commands, other masks."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from command_line import autodls, write_phantom, write_preset
from made_up_masks import DOUBT, write_masks
from tiny_study import use_tiny_resnet

from autodls.errors import StaleRecordError
from autodls.inference.model_copy import card_of, write_with_networks_of
from autodls.inference.model_files import check_model_folder
from autodls.preprocessing.case import case_key
from autodls.preprocessing.store import load_summary
from autodls.records.cohort import read_cohort
from autodls.records.model import ModelRecord
from autodls.records.model_folders import ModelFolder
from autodls.records.segmentation import SegmentedCohort, load_masks
from autodls.records.table import read_table
from autodls.records.workspace import Workspace
from autodls.stages.benchmark_cohorts import usable_models
from autodls.stages.session import Session

pytestmark = pytest.mark.long

DOUBTFUL = "PH0003"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Dataset, workspace and what each command answered."""
    root = tmp_path_factory.mktemp("auto")
    dataset = write_phantom(root / "dataset", cases=16, external_cases=1)
    workspace = Workspace(dataset / "autodls")
    with pytest.MonkeyPatch.context() as monkeypatch:
        use_tiny_resnet(monkeypatch)
        common = ("-d", dataset, "--workers", 1)
        answers = {"plan": autodls("plan", *common, "--preset", write_preset(root / "preset.json"))}
        answers["too early"] = autodls("train", "fold", "all", "--rois", "auto", *common)
        answers["manual"] = autodls("train", "fold", "all", *common)
        write_masks(dataset, workspace, doubtful={DOUBTFUL})
        answers["auto"] = autodls("train", "fold", "all", "--rois", "auto", *common)
    yield dataset, workspace, answers
    shutil.rmtree(root)


def test_every_command_succeeds(study):
    assert {name: answer.status for name, answer in study[2].items()} == {
        "plan": 0, "too early": 2, "manual": 0, "auto": 0
    }  # fmt: skip
    assert "run 'autodls segment fold all'" in study[2]["too early"].complaint


def test_both_models_stand_side_by_side_and_know_their_rois(study):
    _, workspace, _ = study
    for rois in ("manual", "auto"):
        record = ModelRecord.load(workspace.of(rois).model.record, "")
        assert record.rois == rois
        assert {row["rois"] for row in read_table(workspace.of(rois).oof_scores)} == {rois}
    assert workspace.oof_scores.read_bytes() != workspace.of("auto").oof_scores.read_bytes()


def test_doubts_about_masks_are_said_by_train_and_stand_beside_the_scores(study):
    _, workspace, answers = study
    assert "warning: 1 of 16 automatic ROIs is doubtful: 1 the whole field" in answers["auto"].err
    assert "doubtful" not in answers["manual"].err
    rows = {row["case"]: row["flags"] for row in read_table(workspace.of("auto").oof_scores)}
    assert rows.pop(DOUBTFUL) == DOUBT and set(rows.values()) == {""}
    assert "flags" not in workspace.oof_scores.read_text().splitlines()[0].split(",")


def test_the_card_says_who_draws_the_roi(study):
    _, workspace, _ = study
    manual, auto = (workspace.of(rois).model.card.read_text() for rois in ("manual", "auto"))
    assert "a tumour ROI on the grid of\n  CE-T1WI. ROIs in training were manual." in manual
    assert "the model draws the\n  tumour itself" in auto and "a tumour ROI on the grid" not in auto


def test_a_model_with_the_networks_of_another_has_those_that_draw_too(study, tmp_path):
    source, target = study[1].of("auto").model, ModelFolder(tmp_path / "copy")
    checked = check_model_folder(source.root)
    write_with_networks_of(checked, checked.record, card_of(checked), target)
    names = [{path.relative_to(one.root) for path in one.root.rglob("*.*")} for one in (source, target)]
    assert names[0] == names[1] and target.segmentation.record.is_file()
    assert check_model_folder(target.root).record == checked.record


def test_samples_are_made_from_the_masks(study):
    dataset, workspace, _ = study
    plan = Session.open(dataset, None).plan()
    for case in read_cohort(dataset).training:
        for rois, roi in (("manual", case.roi), ("auto", workspace.auto_roi(case.id))):
            key = load_summary(workspace.of(rois).sample(case.id))[0]
            assert key == case_key(case.images, roi, frozenset({1}), plan.preprocessing)


def test_segmenter_travels_in_the_model_folder_once_there_is_one(study):
    _, workspace, _ = study
    manual, auto = (ModelRecord.load(workspace.of(rois).model.record, "") for rois in ("manual", "auto"))
    assert manual.segmenter_sha256 is None and auto.segmenter_sha256
    folder = workspace.of("auto").model.segmentation
    assert folder.record.is_file() and folder.fold(0).is_file() and folder.fold(1).is_file()


def test_session_gives_training_cases_their_masks_and_held_out_cases_no_manual_roi(study):
    dataset, workspace, _ = study
    session = Session.open(dataset, None, "auto")
    assert {case.roi for case in session.training} == {workspace.auto_roi(case.id) for case in session.drawn}
    assert [case.roi for cases in session.cohort.held_out.values() for case in cases] == [None]
    assert all(case.roi.parent.name == "labelsTr" for case in session.drawn)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda row: {"fold": 1 - row.fold}, "not the ROI that fold"),
        (lambda _row: {"mask_sha256": "0" * 64}, "not the ROI that fold"),
        (lambda _row: None, "no automatic ROI"),
    ],
)
def test_a_mask_of_a_network_that_saw_the_case_is_refused(study, tmp_path, change, complaint):
    """The wall: with it taken down, a classifier would be trained on masks of networks that learned from the case."""
    dataset, workspace, _ = study
    shutil.copytree(workspace.root / "segmentation", tmp_path / "segmentation")
    shutil.copytree(workspace.root / "rois", tmp_path / "rois")
    other, session = Workspace(tmp_path), Session.open(dataset, None)
    plan = session.plan()
    splits = session.splits(plan)
    record = SegmentedCohort.load(other.segmented, "")
    first = record.cases[0]
    changes = change(first)
    rows = (*((first.model_copy(update=changes),) if changes else ()), *record.cases[1:])
    record.model_copy(update={"cases": rows}).save(other.segmented)
    with pytest.raises(StaleRecordError, match=complaint):
        load_masks(other, plan, splits)


@pytest.mark.parametrize("name", ["plans.json", "dataset.json"])
@pytest.mark.parametrize("edit", [lambda path: path.write_text('{"edited": 1}'), lambda path: path.unlink()])
def test_a_segmenter_that_was_edited_by_hand_is_refused(study, name, edit):
    """Its networks would travel in the model with another description than the one by which they drew the ROIs."""
    dataset, workspace, _ = study
    path = workspace.segmentation.segmenter.root / name
    before = path.read_bytes()
    path.unlink()  # the locked model has another name for the same file
    path.write_bytes(before)
    edit(path)
    try:
        answer = autodls("train", "fold", "all", "--rois", "auto", "-d", dataset, "--workers", 1)
    finally:
        path.write_bytes(before)
    assert answer.status == 2 and f"{name}: altered since the networks were trained by it" in answer.complaint
    assert "run 'autodls segment fold all'" in answer.complaint


def test_masks_of_another_plan_are_refused(study):
    dataset, workspace, _ = study
    session = Session.open(dataset, None)
    plan = session.plan()
    other = plan.model_copy(update={"segmentation": plan.segmentation.model_copy(update={"epochs": 99})})
    with pytest.raises(StaleRecordError, match="drawn by another plan"):
        load_masks(workspace, other, session.splits(plan))


def test_scores_of_both_models_are_probabilities_of_the_same_cases(study):
    _, workspace, _ = study
    tables = [read_table(workspace.of(rois).oof_scores) for rois in ("manual", "auto")]
    assert [row["case"] for row in tables[0]] == [row["case"] for row in tables[1]]
    dls = np.array([[float(row["dls"]) for row in table] for table in tables])
    assert ((dls >= 0) & (dls <= 1)).all()


def test_the_benchmark_knows_a_model_whose_plan_names_a_weights_file_with_its_folder(study):
    """The model's copy of the plan names it without the folder."""
    dataset, workspace, _ = study
    session = Session.open(dataset, None)
    plan = session.plan()
    named = {
        place: plan.model_copy(update={"network": plan.network.model_copy(update={"encoder_weights": f"{place}w.pth"})})
        for place in ("", "/home/somebody/")
    }
    record = ModelRecord.load(workspace.model.record, "")
    content = workspace.model.record.read_bytes()
    try:
        record.model_copy(update={"plan_sha256": named[""].sha256()}).sealed().save(workspace.model.record)
        for other in named.values():
            asked = SimpleNamespace(plan=other, splits=session.splits(plan), workspaces={"manual": workspace})
            assert usable_models(asked)[1] == {}
    finally:
        workspace.model.record.write_bytes(content)
