"""A whole fold: interrupted anywhere it ends in the same bytes, and folds do not depend on each other."""

import json
import os
import shutil
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_models import SEQUENCES
from tiny_study import hashes, make_sample, study_plan, tiny_study, use_tiny_resnet

from autodls.errors import ArgumentError, ModelFolderError, StaleRecordError, TrainingError, WeightsError
from autodls.models.device import prepare_torch
from autodls.models.fold_files import load_fold
from autodls.preprocessing.store import save_sample
from autodls.records.scores import FUSED, read_fold_scores
from autodls.records.tensors import load_tensors, read_note, save_tensors
from autodls.records.training_log import Epoch
from autodls.training import loop
from autodls.training.cohort import train_folds
from autodls.training.data import centre_crop, training_device
from autodls.training.fold import train_fold
from autodls.training.stage_log import StageLog

STAGES = (*SEQUENCES, "fusion")


@pytest.fixture(autouse=True)
def tiny_resnet(monkeypatch):
    use_tiny_resnet(monkeypatch)


@pytest.fixture
def save_each_epoch(monkeypatch):
    monkeypatch.setattr(loop, "_SECONDS_BETWEEN_SAVES", -1.0)


@pytest.fixture
def study(tmp_path):
    return tiny_study(tmp_path / "study")


@pytest.fixture
def trained(study):
    """The study with fold 0 trained under the key "key"."""
    train_fold(study.run(0), lambda _epoch: None)
    return study


def kill_at(stage, epoch):
    def report(done):
        if (done.stage, done.epoch) == (stage, epoch):
            raise KeyboardInterrupt

    return report


def log_of(folder):
    """Its epochs; how a network was judged is in `test_learnt.py`."""
    lines = [json.loads(line) for line in folder.log.read_text().splitlines()]
    return [line for line in lines if "epoch" in line]


def test_fold_folder_holds_weights_scores_and_log_and_nothing_else(trained):
    folder = trained.run(0).folder
    names = {path.name for path in folder.root.iterdir()}
    assert names == {*(f"{stage}.safetensors" for stage in STAGES), "scores.csv", "fold.json", "log.jsonl"}
    for stage in STAGES:
        note = read_note(folder.sequence(stage))
        assert (note["key"], note["fold"]) == ("key", 0)
        best = min((line for line in log_of(folder) if line["stage"] == stage), key=lambda line: line["inner_loss"])
        assert note["best_epoch"] == best["epoch"]


def test_log_has_each_epoch_of_each_stage_once_and_in_order(trained):
    found = [(line["stage"], line["epoch"]) for line in log_of(trained.run(0).folder)]
    assert found == [(stage, epoch) for stage in STAGES for epoch in range(3)]


def test_every_case_is_scored_once_and_marked_by_its_part(trained):
    fold = trained.splits.folds[0]
    scores = read_fold_scores(trained.run(0).folder.scores, trained.plan.sequences)
    assert [score.case for score in scores] == sorted(case.id for case in trained.cases)
    for part in ("train", "inner", "validation"):
        assert {score.case for score in scores if score.part == part} == set(getattr(fold, part))
    labels = {case.id: case.label for case in trained.cases}
    assert all(score.label == labels[score.case] for score in scores)
    rows = {score.case: set(score.logits) for score in scores}
    assert rows["case_03"] == {FUSED, "CE-T1WI"}
    assert rows["case_06"] == {FUSED, "T1WI"}
    assert rows["case_00"] == {FUSED, *SEQUENCES}


def test_scores_are_those_of_the_saved_fold(trained):
    run = trained.run(0)
    model = load_fold(run.folder, trained.plan, torch.device("cpu"))
    logits = model.logits(centre_crop(run.data.pixels, 32), run.data.present).fused.numpy()
    for score, logit in zip(read_fold_scores(run.folder.scores, trained.plan.sequences), logits, strict=True):
        assert score.logits[FUSED] == pytest.approx(float(logit), abs=1e-5)
        expected = model.scales[FUSED].log_odds(np.array([score.logits[FUSED]]))[0]
        assert score.log_odds[FUSED] == pytest.approx(expected, rel=1e-12)


@pytest.mark.usefixtures("save_each_epoch")
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("epoch", [0, 2])
def test_fold_killed_in_any_stage_and_continued_gives_the_same_bytes(trained, stage, epoch):
    run = trained.run(0, "killed")
    with pytest.raises(KeyboardInterrupt):
        train_fold(run, kill_at(stage, epoch))
    train_fold(run, lambda _epoch: None)
    assert hashes(run.folder.root) == hashes(trained.run(0).folder.root)
    assert [(line["stage"], line["epoch"]) for line in log_of(run.folder)] == [
        (name, number) for name in STAGES for number in range(3)
    ]


@pytest.mark.usefixtures("save_each_epoch")
def test_continuing_repeats_only_what_was_not_saved(study):
    run, seen = study.run(0), []
    with pytest.raises(KeyboardInterrupt):
        train_fold(run, kill_at("CE-T1WI", 2))
    train_fold(run, lambda epoch: seen.append((epoch.stage, epoch.epoch)))
    assert seen == [("CE-T1WI", 2), *(("fusion", epoch) for epoch in range(3))]


def test_killed_without_a_saved_state_the_stage_begins_anew(study):
    run, seen = study.run(0), []
    with pytest.raises(KeyboardInterrupt):
        train_fold(run, kill_at("CE-T1WI", 1))
    train_fold(run, lambda epoch: seen.append((epoch.stage, epoch.epoch)))
    assert seen[:3] == [("CE-T1WI", epoch) for epoch in range(3)]
    assert len(log_of(run.folder)) == 9


@pytest.mark.usefixtures("save_each_epoch")
def test_state_of_another_plan_is_not_continued(study):
    with pytest.raises(KeyboardInterrupt):
        train_fold(study.run(0, key="old"), kill_at("T1WI", 2))
    seen = []
    train_fold(study.run(0, key="new"), lambda epoch: seen.append((epoch.stage, epoch.epoch)))
    assert seen[0] == ("T1WI", 0)


def test_finished_fold_is_left_alone(trained):
    run = trained.run(0)
    before = hashes(run.folder.root), run.folder.scores.stat().st_mtime_ns

    def report(_epoch):
        pytest.fail("nothing is to be trained")

    train_fold(run, report)
    assert before == (hashes(run.folder.root), run.folder.scores.stat().st_mtime_ns)


@pytest.mark.parametrize("stage", SEQUENCES)
def test_encoders_of_another_plan_are_refused_with_the_command_to_run(trained, stage):
    for other in STAGES:
        if other != stage:
            tensors, note = load_tensors(trained.run(0).folder.sequence(other), "")
            save_tensors(trained.run(0).folder.sequence(other), tensors, {**note, "key": "new"})
    with pytest.raises(StaleRecordError, match="autodls train fold all --restart") as failure:
        train_fold(trained.run(0, key="new"), lambda _epoch: None)
    assert f"{stage}.safetensors" in str(failure.value)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("stage", STAGES)
def test_weights_that_were_altered_after_they_were_scored_are_refused(trained, stage):
    """Old scores would stand beside a model that no longer gives them."""
    path = trained.run(0).folder.sequence(stage)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(StaleRecordError, match=rf"{stage}.safetensors: SHA-256 is .*'autodls train fold 0 --restart'"):
        train_fold(trained.run(0), lambda _epoch: None)


def test_encoder_of_another_training_is_refused_by_its_fusion(trained):
    folder = trained.run(0).folder
    shutil.copyfile(folder.sequence("T1WI"), folder.sequence("CE-T1WI"))
    folder.record.unlink()
    with pytest.raises(
        StaleRecordError, match=r"CE-T1WI.safetensors: SHA-256 is .* the fusion beside it was fitted on"
    ):
        train_fold(trained.run(0), lambda _epoch: None)


@pytest.mark.parametrize("damage", ["altered", "removed", "no record", "broken record"])
def test_scores_are_made_again_where_the_weights_are_right(trained, damage):
    folder = trained.run(0).folder
    before = hashes(folder.root), folder.record.read_bytes()
    if damage == "altered":
        folder.scores.write_text(folder.scores.read_text().replace(",1,", ",0,"))
    elif damage == "removed":
        folder.scores.unlink()
    elif damage == "no record":
        folder.record.unlink()
    else:
        folder.record.write_text("{")
    train_fold(trained.run(0), lambda _epoch: pytest.fail("nothing is to be trained"))
    assert before == (hashes(folder.root), folder.record.read_bytes())


def test_fusion_of_an_encoder_that_was_removed_is_fitted_anew(trained):
    folder = trained.run(0).folder
    before = hashes(folder.root)
    folder.sequence("T1WI").unlink()
    stages = []
    train_fold(trained.run(0), lambda epoch: stages.append(epoch.stage))
    assert list(dict.fromkeys(stages)) == ["T1WI", "fusion"] and hashes(folder.root) == before


def test_score_that_is_no_number_is_one_line_and_not_written(study):
    data = study.data()
    data.pixels[data.rows(study.splits.folds[0].validation[:1])] = torch.nan
    case = study.splits.folds[0].validation[0]
    with pytest.raises(TrainingError, match=rf"fold 0: case {case} \(validation\): the score 'dls' is not a finite"):
        train_fold(study.run(0, data=data), lambda _epoch: None)
    assert not study.run(0).folder.scores.exists()


def test_damaged_weights_are_refused_with_the_command_to_run(trained):
    trained.run(0).folder.fusion.write_bytes(b"no weights")
    with pytest.raises(StaleRecordError, match=r"fusion.safetensors: not a readable .*--restart"):
        train_fold(trained.run(0), lambda _epoch: None)


def test_scores_of_removed_weights_do_not_survive_them(trained):
    """Removing weights by hand and training again by another plan must not leave the old scores to be pooled."""
    run = trained.run(0, key="new")
    old = run.folder.scores.read_bytes()
    for stage in STAGES:
        run.folder.sequence(stage).unlink()
    plan = study_plan(learning_rate=0.04)
    train_fold(replace(run, plan=plan), lambda _epoch: None)
    assert run.folder.scores.read_bytes() != old


def test_fold_that_does_not_fit_the_plan_is_a_model_folder_error(trained):
    folder = trained.run(0).folder
    tensors, note = load_tensors(folder.fusion, "")
    for broken in (
        {name: value for name, value in tensors.items() if name != "pca.T1WI/mean"},
        {**tensors, "fusion.position": torch.zeros(3, 3)},
        {name: value for name, value in tensors.items() if name != "fusion.position"},
    ):
        save_tensors(folder.fusion, broken, note)
        with pytest.raises(ModelFolderError, match=r"fusion.safetensors.*does not fit") as failure:
            load_fold(folder, trained.plan, torch.device("cpu"))
        assert "\n" not in str(failure.value)
    save_tensors(folder.fusion, tensors, {"key": "key"})
    with pytest.raises(ModelFolderError, match=r"fusion\.safetensors"):
        load_fold(folder, trained.plan, torch.device("cpu"))
    save_tensors(folder.fusion, tensors, note)
    weights, encoder_note = load_tensors(folder.sequence("T1WI"), "")
    weights.pop("layer1.0.bn2.bias")
    save_tensors(folder.sequence("T1WI"), weights, encoder_note)
    with pytest.raises(ModelFolderError, match=r"T1WI\.safetensors"):
        load_fold(folder, trained.plan, torch.device("cpu"))


# -- independence of folds ---------------------------------------------------------------------------------------------


def test_folds_in_any_order_alone_or_together_give_the_same_bytes(study, tmp_path):
    study.train((0, 1))
    expected = hashes(study.workspace.root / "folds")
    assert len(expected) == 8
    backwards = tiny_study(tmp_path / "backwards")
    backwards.train((1, 0))
    alone = tiny_study(tmp_path / "alone")
    alone.train((1,))
    alone.train((0,))
    assert hashes(backwards.workspace.root / "folds") == expected
    assert hashes(alone.workspace.root / "folds") == expected


def test_order_of_the_cases_does_not_matter(study, tmp_path):
    study.train((0,))
    other = tiny_study(tmp_path / "other")
    replace(other, cases=other.cases[::-1]).train((0,))
    assert hashes(other.workspace.root / "folds") == hashes(study.workspace.root / "folds")


def test_folds_and_seeds_start_from_different_weights(study, tmp_path):
    study.train((0, 1))
    first, second = (load_tensors(study.workspace.fold(index).sequence("T1WI"), "")[0] for index in (0, 1))
    assert not torch.equal(first["conv1.weight"], second["conv1.weight"])
    other = tiny_study(tmp_path / "other", study_plan(seed=1))
    replace(other, splits=study.splits).train((0,))
    third = load_tensors(other.workspace.fold(0).sequence("T1WI"), "")[0]
    assert not torch.equal(first["conv1.weight"], third["conv1.weight"])


def test_nnunet_augmentation_trains_to_the_same_bytes_twice(tmp_path):
    found = []
    for name in "ab":
        study = tiny_study(tmp_path / name, study_plan(augmentation="nnunet", epochs=2))
        study.train((0,))
        found.append(hashes(study.workspace.root / "folds"))
    assert found[0] == found[1]


# -- what cannot be trained --------------------------------------------------------------------------------------------


def test_sequence_that_a_part_of_the_fold_lacks_is_named(study):
    data = study.data()
    data.present[data.rows(study.splits.folds[0].inner), 0] = False
    with pytest.raises(TrainingError, match="fold 0: 0 cases of part 'inner' have T1WI"):
        train_fold(study.run(0, data=data), lambda _epoch: None)


def test_missing_sample_is_named_with_its_command(study):
    study.workspace.sample("case_05").unlink()
    with pytest.raises(StaleRecordError, match=r"case_05.*autodls preprocess"):
        study.train((0,))


def test_sample_that_another_process_wrote_since_it_was_prepared_is_not_trained_on(study):
    """Such as a worker of an earlier command that was killed, which still had the old plan."""
    keys = {case.id: f"key of {case.id}" for case in study.cases}
    late = make_sample("case_05", False, np.random.default_rng(0))
    save_sample(study.workspace.sample("case_05"), replace(late, key="key of the old plan"))
    with pytest.raises(
        StaleRecordError, match=r"case_05\.safetensors: made from another plan .* run the command again"
    ):
        train_folds(study.workspace, study.cases, study.plan, study.splits, (0,), lambda *_: None, sample_keys=keys)
    assert not study.workspace.fold(0).scores.exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_plan_for_a_gpu_that_is_not_there_is_refused():
    plan = study_plan()
    budget = plan.budget.model_copy(update={"device": "cuda"})
    with pytest.raises(ArgumentError, match="autodls plan --device cpu"):
        training_device(plan.model_copy(update={"budget": budget}))


# -- log ---------------------------------------------------------------------------------------------------------------


def epoch_line(stage, number, loss=1.0):
    return Epoch(
        stage=stage, epoch=number, learning_rate=0.1, train_loss=loss, inner_loss=1.0, inner_auc=None, best=False,
        seconds=0.0,
    )  # fmt: skip


def test_log_replaces_what_an_interrupted_run_wrote_from_there_on(tmp_path):
    log = StageLog(tmp_path / "log.jsonl")
    for stage, number in (("a", 0), ("a", 1), ("b", 0), ("b", 1), ("b", 2)):
        log.add(epoch_line(stage, number))
    log.add(epoch_line("b", 1, loss=2.0))
    lines = [json.loads(line) for line in log.path.read_text().splitlines()]
    assert [(line["stage"], line["epoch"]) for line in lines] == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    assert lines[-1]["train_loss"] == 2.0


@pytest.mark.parametrize("damage", [b'{"stage": "a", "ep', b"\xff\xfe\n", b"[]\n", b"{}\n", b"1\n", b"[" * 100_000])
def test_damaged_lines_of_the_log_do_not_stop_a_stage(tmp_path, damage):
    log = StageLog(tmp_path / "log.jsonl")
    log.add(epoch_line("a", 0))
    log.path.write_bytes(log.path.read_bytes() + damage)
    log.add(epoch_line("b", 0))
    assert [json.loads(line)["stage"] for line in log.path.read_text().splitlines()] == ["a", "b"]


def test_leftover_of_a_stage_that_was_kept_is_removed(trained):
    """A kill between the weights and the removal of their resume state."""
    folder = trained.run(0).folder
    shutil.copyfile(folder.fusion, folder.resume("T1WI"))
    before = hashes(folder.root, "[!r]*.safetensors")
    train_fold(trained.run(0), lambda _epoch: None)
    assert hashes(folder.root, "[!r]*.safetensors") == before and not folder.resume("T1WI").exists()


def test_a_file_of_weights_to_start_from_that_is_not_there_is_one_line(study, tmp_path):
    """The key is of its bytes: see `test_keys.py`."""
    network = study.plan.network.model_copy(update={"encoder_weights": str(tmp_path / "resnet50.pth")})
    plan = study.plan.model_copy(update={"network": network})
    with pytest.raises(WeightsError, match=r"resnet50.pth: no such file; .*--encoder-weights"):
        train_folds(study.workspace, study.cases, plan, study.splits, (0,), lambda *_: None)


def test_a_gpu_is_asked_for_deterministic_algorithms_and_a_cpu_left_alone(monkeypatch):
    asked, environment = [], {}
    monkeypatch.setattr(torch, "use_deterministic_algorithms", lambda mode, warn_only: asked.append(mode))
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)  # put back afterwards
    monkeypatch.setattr(os, "environ", environment)
    prepare_torch(torch.device("cpu"))
    assert asked == [] and environment == {} and torch.utils.deterministic.fill_uninitialized_memory
    with warnings.catch_warnings(record=True) as told:
        prepare_torch(torch.device("cuda"))
        warnings.warn("scatter_cuda_ does not have a deterministic implementation, but you set", stacklevel=1)
    assert asked == [True] and environment == {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"} and told == []
