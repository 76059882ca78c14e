"""`autodls segment`: what a person sees."""

import json
import sys

import pytest
from command_line import autodls, edit_json


@pytest.fixture
def study(segmented_study, tmp_path):
    return segmented_study.copy(tmp_path / "workspace")


def segment(study, which, *words):
    return autodls("segment", "fold", which, "-d", study.dataset, "-w", study.root, "--workers", 1, *words)


def test_stdout_is_the_answer_and_nothing_else(segmented_study):
    answer = json.loads(segmented_study.answer.out)
    assert answer["cases"] == 12 and sum(answer["sources"].values()) == 12
    assert 0 <= answer["mean_confidence"] <= 1
    assert answer["masks"] == str(segmented_study.workspace.segmented)


def test_time_is_estimated_before_training(segmented_study):
    said = segmented_study.answer.err
    assert "3 epochs of 2 batches a fold on cpu: about" in said
    assert said.index("measured on two batches") < said.index("drawing")
    assert "2 folds of nnU-Net: how long planner small takes in" in said or "2 folds of nnU-Net: about" in said
    assert said.index("2 folds of nnU-Net") < said.index("preparing")


def test_second_run_trains_nothing_and_shows_the_same(study):
    before = study.weights()
    answer = segment(study, "all")
    assert answer.status == 0, answer.err
    assert "measured on two batches" not in answer.err
    assert "Automatic ROIs" in answer.out and "12 of 12 training cases" in answer.out
    assert f"next: autodls train fold all -w {study.workspace.root} --rois auto" in answer.err
    assert study.weights() == before


def test_restart_of_one_fold_ends_in_the_same_bytes(study):
    before = study.weights()
    kept = study.workspace.segmentation.segmenter.fold(1).stat().st_mtime_ns
    answer = segment(study, "0", "--restart")
    assert answer.status == 0, answer.err
    assert study.weights() == before
    assert study.workspace.segmentation.segmenter.fold(1).stat().st_mtime_ns == kept


@pytest.mark.parametrize("which", ["2", "-1", "first"])
def test_fold_that_is_not_there_is_refused(segmented_study, which):
    common = ("-d", segmented_study.dataset, "-w", segmented_study.root, "--workers", 1)
    answer = autodls("segment", "fold", *common, "--", which)
    assert answer.status == 2
    assert f"fold '{which}': expected 'all' or a number from 0 to 1" in answer.complaint


def test_changed_schedule_says_what_to_do(study):
    edit_json(study.workspace.plan, segmentation__epochs=5)
    answer = segment(study, "all")
    assert answer.status == 2
    assert f"autodls segment fold all -w {study.workspace.root} --restart" in answer.complaint


def test_without_nnunet_one_line_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "nnunetv2", None)
    answer = autodls("segment", "fold", "all", "-d", tmp_path)
    assert answer.status == 2 and answer.out == ""
    assert "pip install 'autodls[segmentation]'" in answer.complaint
