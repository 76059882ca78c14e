"""`autodls explain` and `autodls predict --heatmaps`: which cases, by which folds, into which files."""

import csv
import json
import shutil

import numpy as np
import pytest
from command_line import autodls
from tiny_workspace import tiny_workspace

from autodls.errors import ArgumentError
from autodls.evaluation.randomisation import weights_verdict
from autodls.evaluation.score_auc import OUT_OF_FOLD
from autodls.inference.explain import ALL, RandomisedMap, explain_sample
from autodls.inference.inputs import InputCase
from autodls.inference.model_folder import load_model
from autodls.records.scores import FUSED
from autodls.records.splits import Splits
from autodls.stages.explain import _caveats, _ends, choose_cases, fused_correlations
from autodls.stages.heatmaps import ENSEMBLE, ExplainedCase, samples_of
from autodls.stages.session import Session

SEQUENCES = ("CE-T1WI", "T2WI")


@pytest.fixture
def study(make_dataset, tmp_path):
    """Dataset and workspace: eight training cases, three of cohort "external", of which the last has no ROI."""
    dataset = make_dataset(tmp_path / "data", training=8, held_out=3, missing=(("case_08", "T2WI"),))
    (dataset / "labelsTr" / "case_10.nii.gz").unlink()
    return dataset, tiny_workspace(dataset, tmp_path / "work")


@pytest.fixture
def model(study):
    return load_model(study[1].model.root, "cpu")


def rows_of(path):
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


def test_every_training_case_is_explained_by_the_fold_that_did_not_see_it(study, model):
    dataset, workspace = study
    chosen = choose_cases(Session.open(dataset, workspace.root), model, "8")
    splits = Splits.load(workspace.splits, "")
    training = [case for case in chosen if case.cohort == OUT_OF_FOLD]
    assert len(training) == 8
    for case in training:
        fold = splits.folds[case.fold]
        assert case.files.id in fold.validation
        assert case.files.id not in (*fold.train, *fold.inner)
        assert list(case.judge(model).folds) == [model.folds[case.fold]]
    held_out = [case for case in chosen if case.cohort == "external"]
    assert [case.files.id for case in held_out] == ["case_08", "case_09", "case_10"]
    assert {case.by for case in held_out} == {ENSEMBLE}
    assert len(held_out[0].judge(model).folds) == 2
    (sample,) = samples_of(model, [training[0].files], 1)
    alone = explain_sample(training[0].judge(model), sample).fused["T2WI"]
    assert not np.allclose(alone, explain_sample(model, sample).fused["T2WI"])


def test_highest_and_lowest_scores_are_chosen():
    def case(name, score):
        return ExplainedCase(InputCase(name, {}, None), "c", dls=score)

    cases = [case(str(number), score) for number, score in enumerate([0.3, 0.9, 0.1, 0.5, 0.7])]
    assert [one.files.id for one in _ends(cases, 2)] == ["1", "2"]
    assert [one.files.id for one in _ends(cases, 3)] == ["1", "4", "2"]
    assert [one.files.id for one in _ends(cases, 1)] == ["1"]
    assert [one.files.id for one in _ends(cases, 9)] == ["1", "4", "3", "0", "2"]
    assert [one.files.id for one in _ends([*cases, case("x", None)], 3)] == ["1", "4", "3"]
    assert _ends([], 4) == []


def test_a_bold_fold_does_not_give_all_extreme_cases():
    def case(name, score, fold):
        return ExplainedCase(InputCase(name, {}, None), "c", fold, dls=score)

    bold = [case(f"bold {score}", score, 0) for score in (1, 2, 3, 4, 96, 97, 98, 99)]
    timid = [case(f"timid {score}", score, fold) for fold in (1, 2) for score in (40 + fold, 60 + fold)]
    chosen = _ends([*timid, *bold], 8)
    assert [one.dls for one in chosen] == [99, 98, 62, 61, 42, 41, 2, 1]


def test_cases_are_asked_for_by_id_or_number(study, model):
    session = Session.open(study[0], study[1].root)
    named = choose_cases(session, model, "case_09, case_01")
    assert [(case.files.id, case.fold is None) for case in named] == [("case_09", True), ("case_01", False)]
    assert [case.cohort for case in choose_cases(session, model, "1")] == [OUT_OF_FOLD, OUT_OF_FOLD, "external"]
    assert len(choose_cases(session, model, None)) == 8 + 3
    for asked, words in (("case_99", "did you mean 'case_09'"), ("zzz", "there are 11"), ("0", "a number above 0")):
        with pytest.raises(ArgumentError, match=words):
            choose_cases(session, model, asked)


def test_explain_writes_pictures_maps_and_tables_and_clears_old_ones(study):
    dataset, workspace = study
    folder = workspace.heatmaps
    folder.root.mkdir(parents=True)
    for name in ("case_07_dls.png", "case_07_dls.nii.gz"):
        (folder.root / name).write_text("of an earlier run")
    answer = autodls("explain", "-d", dataset, "-w", workspace.root, "--cases", "case_00,case_08,case_10", "--json")
    assert answer.status == 0, answer.err
    assert "not explained: case case_10: no ROI" in answer.err
    assert "only 2 x 2 cells" in answer.err
    told = json.loads(answer.out)
    assert told["cases"] == ["case_00", "case_08"]
    assert told == {"folder": str(folder.root), **json.loads(folder.summary.read_text())}
    verdict = told["weight_randomisation"]
    assert verdict["text"].startswith(f"weight randomisation {verdict['verdict']}: with shuffled weights the maps")
    assert "Adebayo" in verdict["thresholds"] and verdict["cases"] == 2
    maps = {f"case_00_{row}.nii.gz" for row in (FUSED, *SEQUENCES)} | {"case_08_dls.nii.gz", "case_08_CE-T1WI.nii.gz"}
    pictures = {f"{case}_{kind}.png" for case in told["cases"] for kind in ("dls", "sequences")}
    tables = {"cases.csv", "shares.csv", "randomisation.csv", "explain.json"}
    assert {path.name for path in folder.root.iterdir()} == maps | pictures | tables
    cases = rows_of(folder.cases)
    assert [(row["case"], row["cohort"], row["label"]) for row in cases] == [
        ("case_00", OUT_OF_FOLD, "1"), ("case_08", "external", "1"),
    ]  # fmt: skip
    assert cases[0]["explained_by"] == f"fold {cases_fold(workspace, 'case_00')}"
    assert cases[1]["explained_by"] == ENSEMBLE
    assert {row["case"] for row in rows_of(folder.shares)} == set(told["cases"])
    assert {row["sequence"] for row in rows_of(folder.randomisation)} == {*SEQUENCES, ALL}


def cases_fold(workspace, case):
    return next(row["fold"] for row in rows_of(workspace.oof_scores) if row["case"] == case)


def test_a_training_case_that_has_changed_is_refused(study):
    dataset, workspace = study
    words = ("-d", dataset, "-w", workspace.root)
    workspace.sample("case_00").parent.mkdir()
    workspace.sample("case_00").write_bytes(b"damaged")  # no key: it says nothing
    assert autodls("explain", *words, "--cases", "case_00").status == 0
    workspace.sample("case_00").unlink()
    store_sample_of(study, "case_00", "case_01")
    answer = autodls("explain", *words, "--cases", "case_00")
    assert answer.status == 2
    assert "case case_00: its images, its ROI or the plan have changed" in answer.complaint


def store_sample_of(study, case, other):
    """Store the sample of `other` as that of `case`."""
    from autodls.preprocessing.store import save_sample

    dataset, workspace = study
    members = {one.id: one for one in Session.open(dataset, workspace.root).training}
    files = InputCase(other, members[other].images, members[other].roi)
    (sample,) = samples_of(load_model(workspace.model.root, "cpu"), [files], 1)
    save_sample(workspace.sample(case), sample)


def test_correlations_of_opposite_sign_do_not_cancel_out_to_a_pass():
    def verdict(*values):
        rows = [RandomisedMap("a", FUSED, ALL, value) for value in values] + [RandomisedMap("a", "T2WI", "T2WI", 1.0)]
        return weights_verdict(fused_correlations(rows))

    assert verdict() is None
    assert verdict(0.8, -0.8, None).verdict == "not passed"
    assert list(_caveats(verdict(0.2, -0.1), 7)) == list(_caveats(None, 7)) == []
    for value, said in ((0.57, "not passed: with shuffled weights the maps hardly change"), (0.4, "unclear")):
        [caution] = _caveats(verdict(value), 7)
        assert caution.startswith(f"weight randomisation {said}")


def test_predict_writes_heat_maps_when_asked(study, tmp_path):
    dataset, workspace = study
    images = tmp_path / "images"
    images.mkdir()
    for path in dataset.glob("imagesTr/case_*"):
        if path.name.startswith(("case_08", "case_10")):
            shutil.copy(path, images)
    words = ("predict", "-i", images, "--rois", dataset / "labelsTr", "-w", workspace.root)
    plain = autodls(*words, "-o", tmp_path / "plain")
    assert not (tmp_path / "plain" / "heatmaps").exists()
    answer = autodls(*words, "-o", tmp_path / "out", "--heatmaps")
    assert answer.status == plain.status == 1  # case_10 has no ROI
    names = {"case_08_dls.png", "case_08_sequences.png", "case_08_dls.nii.gz", "case_08_CE-T1WI.nii.gz", "shares.csv"}
    assert {path.name for path in (tmp_path / "out" / "heatmaps").iterdir()} == names
    assert {row["case"] for row in rows_of(tmp_path / "out" / "heatmaps" / "shares.csv")} == {"case_08"}
    assert (tmp_path / "out" / "scores.csv").read_bytes() == (tmp_path / "plain" / "scores.csv").read_bytes()
