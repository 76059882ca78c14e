"""Walls: nothing that later judges a model may touch it. Each of these tests fails when its wall is taken down."""

import csv
import json
import shutil
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from planning_records import make_case
from scipy.special import expit, logit
from tiny_study import DESCRIPTION, hashes, make_sample, study_plan, tiny_study, use_tiny_resnet

from autodls.errors import StaleRecordError, TrainingError
from autodls.models.recalibration import fit_scale
from autodls.planning.request import PlanRequest
from autodls.planning.splits import verify_splits
from autodls.preprocessing.store import save_sample
from autodls.records.files import sha256_of_file
from autodls.records.scores import FUSED, FoldRecord, FoldScore, load_fold_scores
from autodls.records.splits import Splits
from autodls.records.tensors import read_note
from autodls.stages.plan import plan as plan_stage
from autodls.stages.train import train as train_stage
from autodls.training import settling
from autodls.training.common_scale import common_scales
from autodls.training.data import centre_crop
from autodls.training.derived import derive, pool_scores
from autodls.training.fold import train_fold
from autodls.training.fold_chain import write_scores
from autodls.training.locking import lock_model

WEIGHTS = "*.safetensors"


@pytest.fixture(autouse=True)
def tiny_resnet(monkeypatch):
    use_tiny_resnet(monkeypatch)


@pytest.fixture
def study(tmp_path):
    return tiny_study(tmp_path / "study")


def train(study, name, data):
    """SHA-256 of the weights of fold 0 trained on `data`."""
    run = study.run(0, name, data)
    # Validation cases that are no images cannot be scored; all that is fitted is written before that.
    with nullcontext() if data.pixels.isfinite().all() else pytest.raises(TrainingError, match="not a finite number"):
        train_fold(run, lambda _epoch: None)
    return hashes(run.folder.root, WEIGHTS)


def changed(study, part, what):
    """The data with pixels or labels of one part of fold 0 changed."""
    data = study.data()
    rows = data.rows(getattr(study.splits.folds[0], part))
    if what == "labels":
        data.labels[rows] = 1 - data.labels[rows]
    elif what == "pixels":
        data.pixels[rows] = -3 * data.pixels[rows] + 1
    else:
        data.pixels[rows] = torch.nan
    return data


# -- the validation part of a fold -------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["labels", "pixels", "destroyed"])
def test_validation_cases_change_no_byte_of_encoders_pca_fusion_scales_and_epoch(study, what):
    """The fold's files hold all of these; the chosen epoch and the scales stand in their notes."""
    assert train(study, "b", changed(study, "validation", what)) == train(study, "a", study.data())


@pytest.mark.parametrize("what", ["labels", "pixels"])
@pytest.mark.parametrize("part", ["train", "inner"])
def test_training_part_and_inner_hold_out_do_have_a_say(study, part, what):
    """So that the test above is one that can fail."""
    assert train(study, "b", changed(study, part, what)) != train(study, "a", study.data())


def test_inner_hold_out_chooses_the_epoch_and_teaches_no_weight(study):
    """With one epoch there is nothing to choose: the encoders do not know the inner hold-out at all."""
    study = replace(study, plan=study_plan(epochs=1, fusion_epochs=1))
    before, after = train(study, "a", study.data()), train(study, "b", changed(study, "inner", "labels"))
    encoders = {f"{name}.safetensors" for name in study.plan.sequences}
    assert {name for name in before if before[name] == after[name]} == encoders
    assert before["fusion.safetensors"] != after["fusion.safetensors"], "the scales are fitted on it"


def test_the_inner_hold_out_has_no_part_in_encoders_that_are_kept_at_the_end_of_the_schedule(study):
    study = replace(study, plan=study_plan(kept_epoch="last", patience=1))
    before, after = train(study, "a", study.data()), train(study, "b", changed(study, "inner", "labels"))
    encoders = {f"{name}.safetensors" for name in study.plan.sequences}
    assert {name for name in before if before[name] == after[name]} == encoders
    folder = study.run(0, "a").folder
    assert {read_note(folder.sequence(name))["best_epoch"] for name in study.plan.sequences} == {2}


def test_pca_is_fitted_on_the_training_part_alone(study, monkeypatch):
    seen = []
    from autodls.training import fusion_stage

    fit_pca = fusion_stage.fit_pca
    monkeypatch.setattr(fusion_stage, "fit_pca", lambda maps, *rest: seen.append(len(maps)) or fit_pca(maps, *rest))
    train(study, "a", study.data())
    assert seen == [len(study.splits.folds[0].train)] * 2


@pytest.fixture
def falling_back(study):
    """The study with the mean of the sequences to fall back on."""
    fusion = study.plan.network.fusion.model_copy(update={"fallback": "mean"})
    network = study.plan.network.model_copy(update={"fusion": fusion})
    return replace(study, plan=study.plan.model_copy(update={"network": network}))


@pytest.mark.parametrize("what", ["labels", "pixels", "destroyed"])
def test_validation_cases_do_not_choose_between_transformer_and_mean(falling_back, what):
    """What was chosen stands in the note of the fusion."""
    study = falling_back
    assert train(study, "b", changed(study, "validation", what)) == train(study, "a", study.data())


def test_the_inner_hold_out_alone_chooses_between_transformer_and_mean(falling_back, monkeypatch):
    from autodls.training import fusion_stage

    study, seen = falling_back, []
    judged, settled = [], fusion_stage.settled

    def watched(unscaled, pixels, present, labels, plan, bags):
        seen.append((pixels, labels))
        return settled(unscaled, pixels, present, labels, plan, bags)

    monkeypatch.setattr(fusion_stage, "settled", watched)
    monkeypatch.setattr(settling, "is_shown_better", lambda losses, _: judged.append(len(losses)) or True)
    data, inner = study.data(), study.splits.folds[0].inner
    train(study, "a", data)
    assert judged == [len(inner)]
    ((pixels, labels),) = seen
    assert torch.equal(pixels, centre_crop(data.pixels[data.rows(inner)], 32))
    assert torch.equal(labels, data.labels[data.rows(inner)])


# -- held-out cases ----------------------------------------------------------------------------------------------------


def test_training_opens_no_sample_but_those_of_its_cases(study):
    study.workspace.sample("held_out").write_bytes(b"unreadable")
    study.train((0,))
    before = hashes(study.workspace.root / "folds")
    chance = np.random.default_rng(9)
    save_sample(study.workspace.sample("held_out"), make_sample("held_out", label=True, chance=chance))
    shutil.rmtree(study.workspace.root / "folds")  # what is done is not done again
    study.train((0,))
    assert hashes(study.workspace.root / "folds") == before


def plan_and_train(dataset, workspace, preset):
    plan_stage(dataset, workspace, PlanRequest(preset=str(preset), memory_gib=4.0, device="cpu"))
    train_stage(dataset, workspace)
    return hashes(workspace, "*.safetensors", "*.csv", "*.json", "*.md")


@pytest.fixture
def preset(tmp_path):
    given = {
        "network.encoder": "resnet50", "network.encoder_weights": "random", "network.pca_dims": 4,
        "network.fusion.patch_px": 1, "network.fusion.heads": 2, "network.fusion.layers": 1,
        "preprocessing.slice_size_px": 36, "preprocessing.input_size_px": 32, "training.folds": 2,
        "training.batch_size": 4, "training.epochs": 2, "training.patience": 2, "training.fusion_epochs": 2,
        "training.precision": "fp32", "training.inner_holdout": 0.3,
    }  # fmt: skip
    path = tmp_path / "preset.json"
    path.write_text(json.dumps({"format": "autodls-preset/1", "name": "tiny", "about": "for tests", "given": given}))
    return path


def test_held_out_images_and_labels_change_no_byte_of_plan_splits_weights_and_model(
    tmp_path, make_dataset, edit_table, preset, capsys
):
    dataset = make_dataset(tmp_path / "dataset", training=12, held_out=2)
    before = plan_and_train(dataset, tmp_path / "before", preset)
    for case, cps in (("case_12", "not a number"), ("case_13", "99")):
        edit_table(dataset, case, cps=cps, age="?", pfs_months="-1")
        for path in (*(dataset / "imagesTr").glob(f"{case}_*"), *(dataset / "labelsTr").glob(f"{case}*")):
            path.write_bytes(b"unreadable")
    after = plan_and_train(dataset, tmp_path / "after", preset)
    assert before == after
    assert {"fingerprint.json", "plan.json", "splits.json", "oof_scores.csv", "model/model.json"} <= set(before)
    edit_table(dataset, "case_00", cps="5")
    edit_table(dataset, "case_01", cps="30")
    assert plan_and_train(dataset, tmp_path / "other", preset)["model/model.json"] != before["model/model.json"]


# -- the locked model --------------------------------------------------------------------------------------------------


@pytest.fixture
def locked(study):
    study.train()
    return study, lock(study)


def lock(study):
    return lock_model(study.workspace, DESCRIPTION, study.plan, study.splits, study.cases)


def spoil(study, parts, *, scores=True):
    """Exchange scores, and labels but those that are locked, of the rows of `parts` in the tables of all folds."""
    for fold in study.splits.folds:
        folder = study.workspace.fold(fold.index)
        path = folder.scores
        with path.open(newline="") as handle:
            rows = list(csv.DictReader(handle))
        for row in rows:
            if row["part"] in parts:
                if row["part"] != "validation":
                    row["label"] = "1" if row["label"] == "0" else "0"
                row.update({name: "7.5" for name, value in row.items() if scores and ":" in name and value})
        with path.open("w", newline="") as handle:
            writer = csv.DictWriter(handle, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        record = FoldRecord.load(folder.record, "")
        record.model_copy(update={"scores_sha256": sha256_of_file(path)}).save(folder.record)


def test_cut_off_and_recalibration_come_from_out_of_fold_rows_only(locked):
    study, record = locked
    spoil(study, {"train", "inner"})
    assert lock(study).to_bytes() == record.to_bytes()
    spoil(study, {"validation"})
    again = lock(study)
    assert again.recalibration != record.recalibration
    assert again.oof_scores_sha256 != record.oof_scores_sha256


@pytest.fixture
def with_inner_scores(tmp_path):
    """Folds whose early-stopping cases are many enough for a common scale and a correlation of folds."""
    study = tiny_study(tmp_path, count=96)
    chance = np.random.default_rng(0)
    for fold in study.splits.folds:
        folder, labels = study.workspace.fold(fold.index), {case.id: case.label for case in study.cases}
        parts = {case: part for part in ("train", "inner", "validation") for case in getattr(fold, part)}
        scores = []
        for case, part in sorted(parts.items()):
            odds = {FUSED: float(chance.normal(labels[case], 1.0))}
            scores.append(FoldScore(case=case, part=part, label=labels[case], logits=odds, log_odds=odds))
        folder.root.mkdir(parents=True)
        write_scores(folder, scores, study.plan, "key", {})
    return study


def derived(study):
    return derive(study.workspace, study.plan, study.splits, study.cases)


def test_what_is_locked_from_early_stopping_cases_is_scale_and_correlation(with_inner_scores):
    """Nothing of the train part counts; a label of the inner hold-out is that of the table, not that of its row."""
    study = with_inner_scores
    before = derived(study)
    assert before.correlation is not None
    assert before.fold_scales[0][FUSED] != before.fold_scales[1][FUSED]
    spoil(study, {"train"})
    assert derived(study) == before
    spoil(study, {"inner"})
    after = derived(study)
    assert after.correlation is None
    assert [score.logits for _, score in after.pooled] == [score.logits for _, score in before.pooled]


def test_the_label_of_an_early_stopping_case_is_that_of_the_table(with_inner_scores):
    study = with_inner_scores
    before = derived(study)
    spoil(study, {"inner", "train"}, scores=False)
    assert derived(study) == before


def test_what_is_locked_is_derived_from_these_cases_and_no_others(with_inner_scores):
    """All of it anew, from what the folds wrote: who is scored by whom, on whose scale, and what is fitted on it."""
    study = with_inner_scores
    found = derived(study)
    labels = {case.id: case.label for case in study.cases}
    by_fold = [load_fold_scores(study.workspace.fold(fold.index), study.plan.sequences) for fold in study.splits.folds]
    moved = [
        {one.case: (one.part, float(scales[FUSED].log_odds(np.array([one.log_odds[FUSED]]))[0])) for one in scores}
        for scores, scales in zip(by_fold, found.fold_scales, strict=True)
    ]
    validated = {case: value for fold in moved for case, (part, value) in fold.items() if part == "validation"}
    assert {score.case: score.log_odds[FUSED] for _, score in found.pooled} == validated
    own, other = [], []
    for fold in moved:
        for side in (True, False):
            inner = [case for case, (part, _) in fold.items() if part == "inner" and labels[case] == side]
            for left, values in (
                (own, [fold[case][1] for case in inner]),
                (other, [validated[case] for case in inner]),
            ):
                left.extend(np.subtract(values, np.mean(values)))
    assert found.correlation == pytest.approx(np.corrcoef(own, other)[0, 1])
    pairs = [(validated[case], labels[case]) for case in sorted(validated)]
    assert found.recalibration == fit_scale(*map(np.array, zip(*pairs, strict=True)), 10.0)
    locked = found.locked(study.plan)
    of_mean, folds = locked["ensemble_recalibration"], len(study.splits.folds)
    steeper = folds / (1 + (folds - 1) * np.clip(found.correlation, 0, 1))
    assert of_mean.slope == pytest.approx(steeper * found.recalibration.slope)
    crossing = (logit(locked["cutoff"]) - found.recalibration.intercept) / found.recalibration.slope
    assert expit(of_mean.log_odds(np.array([crossing]))) == pytest.approx(locked["cutoff"])


def test_no_out_of_fold_score_hangs_on_the_labels_of_early_stopping_cases_but_by_one_map_for_all(with_inner_scores):
    study = with_inner_scores
    before = derived(study)
    folds = [load_fold_scores(study.workspace.fold(fold.index), study.plan.sequences) for fold in study.splits.folds]
    labels = {case.id: case.label for case in study.cases}
    turned = common_scales(folds, (FUSED,), {case: not label for case, label in labels.items()})
    ratios = [new[FUSED].slope / old[FUSED].slope for new, old in zip(turned, before.fold_scales, strict=True)]
    assert ratios == pytest.approx([ratios[0]] * len(ratios))


def test_every_case_is_pooled_from_the_fold_that_did_not_see_it(locked):
    study, _ = locked
    pooled = pool_scores(study.workspace, study.plan, study.splits, study.cases)
    assert [score.case for _, score in pooled] == sorted(case.id for case in study.cases)
    assert all(score.case in study.splits.folds[fold].validation for fold, score in pooled)


# -- what the walls stand on -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "second"), [("train", "validation"), ("inner", "validation"), ("train", "inner")])
def test_patient_on_both_sides_of_a_split_is_refused(study, first, second):
    fold = study.splits.folds[0]
    twins = (getattr(fold, first)[0], getattr(fold, second)[0])
    cases = tuple(make_case(case.id, case.label, "twin" if case.id in twins else None) for case in study.cases)
    from autodls.records.case import cohort_sha256

    splits = study.splits.model_copy(update={"cohort_sha256": cohort_sha256(cases)})
    with pytest.raises(StaleRecordError, match=r"fold 0: patient 'twin' is in .*run 'autodls plan' again"):
        verify_splits(splits, cases)


@pytest.mark.parametrize(("first", "second"), [("train", "validation"), ("inner", "validation"), ("train", "inner")])
def test_case_on_both_sides_of_a_split_is_refused(study, first, second):
    content = study.splits.model_dump(mode="json")
    content["folds"][0][first].append(content["folds"][0][second][0])
    with pytest.raises(StaleRecordError, match=rf"1 cases in {first} and {second}.*run 'autodls plan'"):
        Splits.parse(content, "splits.json", "run 'autodls plan'", StaleRecordError)


@pytest.mark.parametrize("what", ["plan", "label", "splits"])
def test_weights_of_an_older_plan_label_or_split_are_refused(study, what):
    study.train((0,))
    stale = {
        "plan": lambda: replace(study, plan=study_plan(learning_rate=0.5)),
        "label": lambda: replace(study, cases=(replace(study.cases[0], label=False), *study.cases[1:])),
        "splits": lambda: replace(study, splits=study.splits.model_copy(update={"seed": 5})),
    }[what]()
    with pytest.raises(StaleRecordError, match="autodls train fold all --restart"):
        stale.train((0,))


def test_plan_of_another_fingerprint_is_refused(tmp_path, make_dataset, preset, capsys):
    dataset, workspace = make_dataset(tmp_path / "dataset", training=12, held_out=0), tmp_path / "workspace"
    plan_stage(dataset, workspace, PlanRequest(preset=str(preset), memory_gib=4.0, device="cpu"))
    path = workspace / "fingerprint.json"
    path.write_text(path.read_text().replace('"cases": 12', '"cases": 13', 1))
    with pytest.raises(StaleRecordError, match="run 'autodls plan'"):
        train_stage(dataset, workspace, 0)
