"""Stage three: encoders and fusion fitted on together, where the plan asks for it."""

from dataclasses import replace

import pytest
import torch
from tiny_models import SEQUENCES
from tiny_study import DESCRIPTION, hashes, study_plan, tiny_study, use_tiny_resnet
from torch import nn

from autodls.errors import StaleRecordError
from autodls.models.fold_files import load_fold
from autodls.models.network import class_logit
from autodls.planning.memory import TrainingLoad, encoder_parts_gib, memory_parts_gib
from autodls.records.scores import FUSED, read_fold_scores
from autodls.records.tensors import read_note
from autodls.training import loop
from autodls.training.data import centre_crop
from autodls.training.fine_tuning_stage import FINE_TUNING, fine_tune, inner_log_loss, new_task
from autodls.training.fold import train_fold
from autodls.training.locking import lock_model
from autodls.training.loss import UNKNOWN
from autodls.training.standing import stages_of

pytestmark = pytest.mark.long

FITTED = {*(f"{name}.safetensors" for name in SEQUENCES), "fusion.safetensors"}


@pytest.fixture(autouse=True)
def tiny_resnet(monkeypatch):
    use_tiny_resnet(monkeypatch)
    monkeypatch.setattr(loop, "_SECONDS_BETWEEN_SAVES", -1.0)


@pytest.fixture
def study(tmp_path):
    """A rate at which the inner hold-out's loss falls."""
    return tiny_study(tmp_path / "study", study_plan(fine_tuning_epochs=3, fine_tuning_learning_rate=0.02))


def trained(study, name="folds", data=None, report=lambda _epoch: None):
    run = study.run(0, name, data)
    train_fold(run, report)
    return run


def test_stages_and_their_epochs():
    assert list(stages_of(study_plan())) == [*SEQUENCES, "fusion"]
    assert stages_of(study_plan(fine_tuning_epochs=7)) == {"T1WI": 3, "CE-T1WI": 3, "fusion": 3, FINE_TUNING: 7}


def test_the_network_starts_as_the_two_stages_left_it(study):
    """The same logits as those of the folded encoders, but for the rounding of these."""
    run = trained(study)
    task = new_task(run.data, run.fold, study.plan, run.folder)
    pixels, present = centre_crop(run.data.pixels, 32), run.data.present
    expected = load_fold(run.folder, study.plan, torch.device("cpu")).logits(pixels, present)
    with torch.inference_mode():
        logits = task.model.eval()(pixels, present)
    torch.testing.assert_close(class_logit(logits[:, 0]), expected.fused, atol=2e-3, rtol=0)
    for index, name in enumerate(SEQUENCES):
        known = present[:, index]
        found = class_logit(logits[:, 1 + index])[known]
        torch.testing.assert_close(found, expected.by_sequence[name][known], atol=2e-3, rtol=0)


def test_fitted_weights_lie_beside_those_of_the_two_stages_and_score(study):
    run = trained(study)
    two_stages = trained(replace(study, plan=study_plan()), "two-stages")
    assert {path.name for path in run.folder.fine_tuned.root.iterdir()} == FITTED
    before, after = hashes(run.folder.root, "*.safetensors"), hashes(two_stages.folder.root, "*.safetensors")
    assert {name: before[name] for name in FITTED} == after, "stages one and two do not know of stage three"
    assert all(before[f"fine-tuned/{name}"] != before[name] for name in FITTED)
    model = load_fold(run.folder.fine_tuned, study.plan, torch.device("cpu"))
    logits = model.logits(centre_crop(run.data.pixels, 32), run.data.present).fused
    for score, logit in zip(read_fold_scores(run.folder.scores, study.plan.sequences), logits, strict=True):
        assert score.logits[FUSED] == pytest.approx(float(logit), abs=1e-5)


def test_own_heads_of_the_sequences_are_fitted_too(study):
    run = trained(study)
    task = new_task(run.data, run.fold, study.plan, run.folder)
    inputs, labels = next(task.batches(0))
    logits = task.model(*inputs)
    assert logits.shape == (*labels.shape, 2) and labels.shape[1] == 1 + len(SEQUENCES)
    logits[:, 1:].sum().backward()
    assert all(encoder.net.fc.weight.grad is not None for encoder in task.model.encoders)
    assert task.model.fusion.position.grad.abs().sum() == 0


def test_a_sequence_that_a_case_lacks_is_not_judged(study):
    run = trained(study)
    task = new_task(run.data, run.fold, study.plan, run.folder)
    task.train = run.data.bags(run.data.cases)
    labels = torch.cat([labels for _, labels in task.batches(0)])
    lacking = int((~run.data.present).sum())
    assert lacking == int((labels == UNKNOWN).sum()) == 2 and (labels[:, 0] != UNKNOWN).all()


def test_batch_norm_keeps_its_statistics(study):
    run = trained(study)
    model = new_task(run.data, run.fold, study.plan, run.folder).model.train()
    assert model.training and model.fusion.training
    assert not any(module.training for module in model.modules() if isinstance(module, nn.BatchNorm2d))


def test_two_stages_stand_where_nothing_is_gained(study):
    plan = study_plan(fine_tuning_epochs=1, fine_tuning_learning_rate=1e-30)
    run = trained(replace(study, plan=plan))
    found = hashes(run.folder.root, "*.safetensors")
    assert all(found[f"fine-tuned/{name}"] == found[name] for name in FITTED)


@pytest.mark.parametrize("seed", range(3))
def test_what_is_compared_is_the_score_that_stands(tmp_path, seed):
    """A fold that fell back on the mean of its sequences is judged by that mean: its transformer has learnt nothing,
    and betters its own loss whatever becomes of the sequences.
    """
    plan = study_plan(fine_tuning_epochs=3, fine_tuning_learning_rate=0.1, fusion_learning_rate=1e-12)
    study = falling_back(tiny_study(tmp_path / "study", plan, seed=seed))
    plan = study.plan
    run = trained(study)
    cpu = torch.device("cpu")
    before, after = load_fold(run.folder, plan, cpu), load_fold(run.folder.fine_tuned, plan, cpu)
    assert before.fused_by == "mean"
    task = new_task(run.data, run.fold, plan, run.folder)
    losses = [inner_log_loss(task, fold) for fold in (before, after)]
    same = all(hashes(run.folder.fine_tuned.root)[name] == hashes(run.folder.root, name)[name] for name in FITTED)
    assert losses[1] == losses[0] if same else losses[1] < losses[0]


@pytest.mark.parametrize("epoch", [0, 2])
def test_killed_and_continued_it_gives_the_same_bytes(study, epoch):
    def kill(done):
        if (done.stage, done.epoch) == (FINE_TUNING, epoch):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(study, "killed", report=kill)
    seen = []
    killed = trained(study, "killed", report=lambda done: seen.append(done.stage))
    assert set(seen) == {FINE_TUNING}, "what was done is not done again"
    assert hashes(killed.folder.root) == hashes(trained(study).folder.root)


@pytest.mark.parametrize("name", ["T1WI.safetensors", "fine-tuned/T1WI.safetensors", "fine-tuned/fusion.safetensors"])
def test_weights_that_were_altered_since_are_refused(study, name):
    path = trained(study).folder.root / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.unlink()  # it may be another name of the file of two stages
    path.write_bytes(content)
    with pytest.raises(StaleRecordError, match=rf"{name}: SHA-256 is .*--restart"):
        trained(study)


def test_weights_that_were_written_in_part_are_made_again(study, monkeypatch):
    """Its last file says that the stage is done."""
    run = trained(study)
    expected = hashes(run.folder.root)
    run.folder.fine_tuned.fusion.unlink()
    run.folder.fine_tuned.sequence("T1WI").write_bytes(b"other")
    trained(study)
    assert hashes(run.folder.root) == expected


def falling_back(study):
    """The study with the mean of the sequences to fall back on."""
    fusion = study.plan.network.fusion.model_copy(update={"fallback": "mean"})
    network = study.plan.network.model_copy(update={"fusion": fusion})
    return replace(study, plan=study.plan.model_copy(update={"network": network}))


@pytest.mark.parametrize(("what", "fallback"), [("labels", "none"), ("pixels", "none"), ("labels", "mean")])
def test_validation_cases_change_no_byte_and_the_train_part_does(study, tmp_path, what, fallback):
    if fallback == "mean":  # of a cohort in which the mean gains by fine-tuning
        plan = study_plan(fine_tuning_epochs=3, fine_tuning_learning_rate=0.1, fusion_learning_rate=1e-12)
        study = falling_back(tiny_study(tmp_path / "another", plan, seed=1))

    def weights(part, name):
        data = study.data()
        rows = data.rows(getattr(study.splits.folds[0], part))
        if what == "labels":
            data.labels[rows] = 1 - data.labels[rows]
        else:
            data.pixels[rows] = -3 * data.pixels[rows] + 1
        # Stages one and two are those of the untouched data, so that stage three alone is tried.
        run = study.run(0, name, data)
        fine_tune(run, lambda _epoch: None)
        return hashes(run.folder.fine_tuned.root)

    first = trained(study, "a")
    for name in ("b", "c"):
        target = study.run(0, name).folder
        for stage in FITTED:
            target.root.mkdir(parents=True, exist_ok=True)
            (target.root / stage).write_bytes((first.folder.root / stage).read_bytes())
    assert weights("validation", "b") == hashes(first.folder.fine_tuned.root)
    assert weights("train", "c") != hashes(first.folder.fine_tuned.root)


def test_the_locked_model_holds_what_was_fitted_last(study):
    study.train()
    record = lock_model(study.workspace, DESCRIPTION, study.plan, study.splits, study.cases)
    folder = study.workspace.fold(0)
    assert read_note(folder.fine_tuned.fusion)["best_epoch"] >= 0
    assert record.files["fold_0/fusion.safetensors"] == hashes(folder.fine_tuned.root)["fusion.safetensors"]


def test_memory_counts_all_encoders_at_once():
    load = TrainingLoad("resnet101", 128, 8, "fp32", "cpu", cohort_gib=0.1, cases=20, sequences=3)
    one = encoder_parts_gib(load)
    assert memory_parts_gib(load) == one
    both = memory_parts_gib(replace(load, fine_tuned=True))
    assert both["weights"] == pytest.approx(3 * one["weights"])
    assert both["activations"] == pytest.approx(3 * one["activations"])
