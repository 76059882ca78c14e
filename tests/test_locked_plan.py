"""The report and its checklists tell of the plan that the model was locked with, and claim what the run shows."""

from pathlib import Path

import pytest
from command_line import edit_json
from report_workspace import Wish, write_workspace

from autodls.evaluation.score_auc import OUT_OF_FOLD
from autodls.records.fingerprint import Fingerprint
from autodls.records.model import ModelRecord
from autodls.records.plan import Plan
from autodls.records.scores import write_csv
from autodls.records.workspace import Workspace
from autodls.report.artefacts import Artefacts
from autodls.report.checklists.filled import CHECKLISTS, EVIDENCE, answers, read_checklist
from autodls.report.html.document import render
from autodls.report.reading import read_study


def lock(workspace: Workspace, **changes: object) -> None:
    """Put the workspace's plan and fingerprint into the folder of the model, the plan with `changes` made by hand."""
    edit_json(workspace.plan, **changes)
    plan = Plan.load(workspace.plan, "").without_paths()
    plan.save(workspace.model.plan)
    Fingerprint.load(workspace.fingerprint, "").travelling().save(workspace.model.fingerprint)
    record = ModelRecord.load(workspace.model.record, "")
    record.model_copy(update={"plan_sha256": plan.sha256()}).sealed().save(workspace.model.record)


@pytest.fixture
def run(tmp_path: Path) -> Workspace:
    workspace, _ = write_workspace(tmp_path, Wish(figures=False, heatmaps=0))
    lock(workspace, training__learning_rate=0.125)
    return workspace


def told(study: Artefacts, name: str) -> str:
    return EVIDENCE[name].tell(study)


def test_reasons_are_those_of_the_locked_model(run: Workspace) -> None:
    edit_json(run.plan, training__learning_rate=0.5, training__epochs=7)
    study = read_study(run)
    assert study.plan is not None
    assert study.plan.training.learning_rate == 0.125
    assert "learning rate 0.125" in told(study, "training")
    page = render(study)
    assert "Set by hand; the planner had" in page
    assert "or that it was set by hand: training.learning_rate." in page
    assert "plan.json has changed since the model was locked: this report is of model/plan.json" in page
    assert "set by hand: training.learning_rate." in told(study, "architecture")
    cited = {path for answer in answers(read_checklist("tripod_ai"), study) for path in answer.cited}
    assert {"model/plan.json", "model/fingerprint.json"} <= cited
    assert not {"plan.json", "fingerprint.json"} & cited


def test_a_plan_that_is_not_changed_is_not_said_to_be(run: Workspace) -> None:
    assert "has changed since" not in render(read_study(run))
    edit_json(run.model.plan, training__epochs=7)
    assert "model/plan.json is not the one that the model was locked with" in render(read_study(run))


def test_before_there_is_a_model_the_plan_is_that_of_the_workspace(run: Workspace) -> None:
    run.model.record.unlink()
    run.model.plan.unlink()
    page = render(read_study(run))
    assert "Every setting of the plan" in page
    assert "The model of results/metrics.json is not there" in page


def test_a_plan_that_does_not_know_what_was_set_by_hand_says_so(run: Workspace) -> None:
    edit_json(run.model.plan, derived=None)
    assert "did not record which values were set by hand" in render(read_study(run))


def test_nothing_is_claimed_that_the_run_does_not_show(run: Workspace) -> None:
    study = read_study(run)
    texts = " ".join(text for name in CHECKLISTS for one in answers(read_checklist(name), study) for text in one.texts)
    for claim in ("drawn by hand", "tests every image, ROI and row before", "not opened before", "locked before any"):
        assert claim not in texts, claim
    assert "'autodls check' reads the images of all cohorts" in told(study, "partition")
    assert "These are not the splits" not in told(study, "partition")
    edit_json(run.splits, seed=5)
    assert "These are not the splits" in told(read_study(run), "partition")


def test_selection_and_training_are_those_of_the_plan(run: Workspace) -> None:
    lock(run, training__kept_epoch="last", network__fusion__fallback="none", training__epochs=9)
    study = read_study(run)
    assert "at the end of the schedule" in told(study, "selection")
    assert "9 epochs, focal" in told(study, "training")
    assert "by the mean" not in told(study, "kind")
    lock(run, training__kept_epoch="best", network__fusion__fallback="mean")
    study = read_study(run)
    assert "at the end of the schedule" not in told(study, "selection")
    assert "patience" in told(study, "training")
    assert "by the mean of their log-odds" in told(study, "kind")


def test_held_out_cases_have_their_labels_and_failures_in_the_table(run: Workspace) -> None:
    header = ["case", "dls", "dls_raw", "CE", "T2", "failed", "label"]
    rows = [["ext_00", 0.9, 0.9, 0.8, 0.8, None, 1], ["ext_01", 0.9, 0.9, 0.8, 0.8, None, 0],
            ["ext_02", None, None, None, None, "no ROI file ext_02.nii.gz", 1]]  # fmt: skip
    assert "but for external" in told(read_study(run), "wrong_calls")
    write_csv(run.heldout_scores("external"), header, rows)
    study = read_study(run)
    first, second, third = study.held_out["external"]
    assert (first.label, second.label, third.label, third.score) == (True, False, True, None)
    page = render(study)
    table = page[page.index('id="cases"') :]
    assert "1 of 63 cases could not be scored." in table
    for case, cells in (("ext_00", "true positive"), ("ext_01", "false positive"), ("ext_02", "no ROI file ext_02")):
        row = table[table.index(f">{case}<") :].split("</tr>")[0]
        assert cells in row
    assert "but for" not in told(study, "wrong_calls")
    assert study.metrics is not None
    assert OUT_OF_FOLD in study.metrics.cohorts
