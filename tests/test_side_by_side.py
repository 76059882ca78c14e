"""Every stage of a fold can be recorded, and the encoders of several folds trained side by side, in the same bytes."""

from dataclasses import replace

import pytest
import torch
from strict_recorder import StrictRecorder
from tiny_study import hashes, study_plan, tiny_study, use_tiny_resnet

from autodls.training import loop, sequence_stage
from autodls.training.fine_tuning_stage import fine_tuning_settings, new_task
from autodls.training.fold import train_fold, train_together
from autodls.training.interleave import interleave
from autodls.training.loop import fit_steps
from autodls.training.sequence_stage import SequenceTask, _rows_with, _started_encoder

CPU = torch.device("cpu")


@pytest.fixture
def study(tmp_path, monkeypatch):
    use_tiny_resnet(monkeypatch)
    return tiny_study(tmp_path / "study", study_plan(fine_tuning_epochs=1, epochs=2, fusion_epochs=2))


def test_steps_of_every_stage_can_be_recorded(study, tmp_path, monkeypatch, caplog):
    """The fusion is fitted by the fold itself, which is given the recorder."""
    record = StrictRecorder()
    monkeypatch.setattr(loop, "recorder", lambda _device: record)
    monkeypatch.setattr(sequence_stage, "recorder", lambda _device: record)
    train_fold(study.run(0, "recorded"), lambda _epoch: None)
    assert record.replays > 0 and record.recorded >= 3 and caplog.records == []
    monkeypatch.undo()
    use_tiny_resnet(monkeypatch)
    train_fold(study.run(0, "as-it-is"), lambda _epoch: None)
    assert hashes(study.run(0, "recorded").folder.root) == hashes(study.run(0, "as-it-is").folder.root)


def test_a_step_of_fine_tuning_can_be_recorded(study):
    run = study.run(0)
    train_fold(run, lambda _epoch: None)
    ends = []
    for record in (StrictRecorder(), None):
        task = new_task(run.data, run.fold, study.plan, run.folder)
        chosen = replace(fine_tuning_settings(study.plan, run.fold), epochs=3)
        interleave([fit_steps(task, chosen, "key", run.folder.root / "x", lambda _epoch: None, record)], 1, CPU)
        ends.append(task.model.state_dict())
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())


def test_the_encoder_of_a_step_draws_nothing_and_its_dropout_is_that_of_the_plan(study):
    run = study.run(0)
    rows, model = _rows_with(run, "T1WI"), _started_encoder((run, "T1WI")).train()
    task = SequenceTask(model, run.data.pixels[:, 0], run.data.labels, rows["train"], rows["inner"], study.plan)
    inputs, _ = next(task.batches(5))
    state = torch.random.get_rng_state()
    model(*inputs)
    assert torch.equal(state, torch.random.get_rng_state())
    again, other = next(task.batches(5))[0], next(task.batches(6))[0]
    assert torch.equal(inputs[-1], again[-1]) and not torch.equal(inputs[-1], other[-1])
    assert set(inputs[-1].unique().tolist()) == {0.0, 1.25}  # a fifth is dropped


@pytest.mark.parametrize("at_once", [1, 3])
def test_encoders_of_several_folds_side_by_side_give_the_same_bytes(study, at_once):
    seen = []
    together = [study.run(index, "together") for index in (0, 1)]
    train_together([(run, lambda epoch: seen.append(epoch.stage)) for run in together], at_once)
    for index, run in enumerate(together):
        alone = study.run(index, "alone")
        train_fold(alone, lambda _epoch: None)
        assert hashes(run.folder.root) == hashes(alone.folder.root)
    encoders = [stage for stage in seen if stage in study.plan.sequences]
    assert seen[: len(encoders)] == encoders, "what follows the encoders comes when all are trained"
