"""The fitting loop: loss, schedule, batches, early stopping, and continuation to the same bytes."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from picture_task import PictureTask, as_bytes, settings
from scipy.optimize import minimize_scalar
from sklearn.metrics import roc_auc_score
from torch.nn import functional

from autodls.errors import TrainingError
from autodls.records.tensors import load_tensors, save_tensors
from autodls.training import loop
from autodls.training.batches import random_batches
from autodls.training.fit_state import FitState
from autodls.training.loop import area_under_curve, fit, learning_rate
from autodls.training.loss import UNKNOWN, FocalMeanLoss

QUICK = hypothesis_settings(deadline=None, max_examples=50)


@dataclass
class ScriptedTask(PictureTask):
    """The inner hold-out answers with the margins of a script, one after the other: larger is better."""

    script: tuple[float, ...] = ()
    asked: int = 0

    @property
    def inner_labels(self):
        return torch.tensor([1])

    def inner_logits(self):
        margin = self.script[self.asked]
        self.asked += 1
        return torch.tensor([[0.0, margin]])


def run(task, tmp_path, report=lambda _epoch: None, key="key", **changes):
    return fit(task, settings(**changes), key, tmp_path / "resume.safetensors", report)


# -- loss --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0, 3.5])
@pytest.mark.parametrize("alpha", [0.2, 0.5, 0.7])
def test_focal_loss_equals_its_formula(gamma, alpha):
    logits = torch.tensor([[0.2, -0.4], [1.5, 0.1], [-2.0, 2.0], [0.0, 0.0], [0.3, 3.0]])
    labels = torch.tensor([0, 1, 1, 0, 0])
    chance = torch.softmax(logits.double(), dim=1).numpy()
    p_true = np.array([row[label] for row, label in zip(chance, labels, strict=True)])
    weight = np.where(labels == 1, alpha, 1 - alpha)
    expected = np.mean(2 * weight * (1 - p_true) ** gamma * -np.log(p_true))
    assert float(FocalMeanLoss(gamma, alpha)(logits, labels)) == pytest.approx(expected, rel=1e-5)


@QUICK
@given(st.lists(st.tuples(st.floats(-8, 8), st.floats(-8, 8), st.integers(0, 1)), min_size=1, max_size=9))
def test_without_focus_and_weight_it_is_cross_entropy(rows):
    logits, labels = torch.tensor([row[:2] for row in rows]), torch.tensor([row[2] for row in rows])
    expected = functional.cross_entropy(logits, labels)
    torch.testing.assert_close(FocalMeanLoss(0.0, 0.5)(logits, labels), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("true", "learnt"), [(0.1, 0.31), (0.5, 0.5), (0.9, 0.69)])
def test_focal_loss_of_gamma_2_pulls_probabilities_to_the_middle(true, learnt):
    """The miscalibration that recalibration has to undo; the numbers are those of docs/method.md, section 5."""
    loss = FocalMeanLoss(2.0, 0.5)

    def expected_loss(logit):
        logits = torch.tensor([[0.0, float(logit)]], dtype=torch.float64)
        positive, negative = (float(loss(logits, torch.tensor([label]))) for label in (1, 0))
        return true * positive + (1 - true) * negative

    best = minimize_scalar(expected_loss, bounds=(-5, 5), method="bounded").x
    assert 1 / (1 + math.exp(-best)) == pytest.approx(learnt, abs=0.006)


def test_loss_is_a_mean_so_batches_of_any_size_weigh_their_cases_alike():
    logits, labels = torch.randn(6, 2, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 1, 0, 1, 0])
    loss = FocalMeanLoss(2.0, 0.3)
    parts = [float(loss(logits[i : i + 1], labels[i : i + 1])) for i in range(6)]
    assert float(loss(logits, labels)) == pytest.approx(np.mean(parts), rel=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 3.5])
@pytest.mark.parametrize("alpha", [0.2, 0.5])
def test_loss_and_gradients_are_those_of_monai(gamma, alpha):
    from monai.losses import FocalLoss

    chance = torch.Generator().manual_seed(0)
    logits = (4 * torch.randn(20, 2, generator=chance)).requires_grad_()
    labels = torch.arange(20) % 3 % 2
    theirs = FocalLoss(gamma=gamma, alpha=alpha, use_softmax=True, to_onehot_y=True, reduction="sum")
    expected = 2 * theirs(logits[:, :, None], labels[:, None, None]) / len(labels)
    found = FocalMeanLoss(gamma, alpha)(logits, labels)
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(value, logits)[0] for value in (found, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-7)


def test_loss_leaves_out_what_is_not_judged():
    logits, labels = torch.randn(4, 3, 2, generator=torch.Generator().manual_seed(0)), torch.ones(4, 3).long()
    labels[1:, 2], loss = UNKNOWN, FocalMeanLoss(2.0, 0.3)
    torch.testing.assert_close(loss(logits, labels), loss(logits[labels == 1], labels[labels == 1]))


@pytest.mark.parametrize("margin", [-200.0, 0.0, 200.0])
def test_loss_of_a_score_that_is_sure_has_a_finite_gradient(margin):
    logits = torch.tensor([[0.0, margin], [margin, 0.0]], requires_grad=True)
    FocalMeanLoss(0.5, 0.5)(logits, torch.tensor([1, 1])).backward()
    assert torch.isfinite(logits.grad).all()


# -- schedule, AUC, batches --------------------------------------------------------------------------------------------


def test_learning_rate_rises_through_the_warm_up_and_falls_along_half_a_cosine():
    chosen = settings(epochs=12, warmup_epochs=2, learning_rate=0.3)
    rates = [learning_rate(chosen, epoch) for epoch in range(12)]
    assert rates[:3] == pytest.approx([0.1, 0.2, 0.3])
    assert rates[7] == pytest.approx(0.15)  # half way from epoch 2 to epoch 12
    assert rates[11] == pytest.approx(0.15 * (1 + math.cos(0.9 * math.pi)))


@QUICK
@given(st.integers(1, 50), st.integers(0, 60))
def test_learning_rate_is_positive_and_never_above_the_plan(epochs, warmup):
    chosen = settings(epochs=epochs, warmup_epochs=warmup)
    assert all(0 < learning_rate(chosen, epoch) <= chosen.learning_rate for epoch in range(epochs))


@QUICK
@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30))
def test_logged_auc_equals_scikit_learn_also_with_ties(rows):
    margins, labels = np.array([row[0] for row in rows], float), np.array([row[1] for row in rows], int)
    found = area_under_curve(torch.tensor(np.stack([0 * margins, margins], axis=1)), torch.tensor(labels))
    assert found is None if len(set(labels)) == 1 else found == pytest.approx(roc_auc_score(labels, margins))


@QUICK
@given(st.integers(2, 80), st.integers(2, 40), st.integers(0, 2**62))
def test_batches_are_of_one_size_and_hold_every_case(cases, batch_size, seed):
    """Those that fill a batch up are shown twice, in another batch, and never one case alone."""
    batches = random_batches(torch.arange(100, 100 + cases), batch_size, seed)
    times = torch.bincount(batches.flatten() - 100, minlength=cases)
    assert times.min() == 1 and times.max() <= 2 and int(times.sum()) < cases + len(batches)
    assert all(len(set(batch)) == len(batch) for batch in batches.tolist())
    assert 2 <= batches.shape[1] <= max(batch_size, 3)
    assert len(batches) <= math.ceil(cases / batch_size)


def test_batches_depend_on_the_seed_alone():
    rows = torch.arange(50)
    state = torch.random.get_rng_state()
    first, again, other = (random_batches(rows, 8, seed).tolist() for seed in (1, 1, 2))
    assert first == again != other
    assert torch.equal(torch.random.get_rng_state(), state)


# -- stopping ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "patience", "epochs_run", "best"),
    [
        ((1, 2, 3, 4, 5, 6, 7, 8), 2, 8, 7),
        ((1, 5, 4, 4, 9, 9, 9, 9), 2, 4, 1),
        ((1, 5, 4, 9, 4, 4, 9, 9), 2, 6, 3),
        ((1, 5, 4, 4, 4, 9, 8, 8), 4, 8, 5),
        ((3, 3, 3, 3, 3, 3, 3, 3), 1, 2, 0),  # an equal loss is no better one
    ],
)
def test_training_stops_after_patience_epochs_without_a_better_inner_loss(tmp_path, script, patience, epochs_run, best):
    state = run(ScriptedTask(script=script), tmp_path, patience=patience, warmup_epochs=0)
    assert len(state.history) == epochs_run
    assert state.best_epoch == best
    assert [epoch.epoch for epoch in state.history] == list(range(epochs_run))


def test_weights_of_the_best_epoch_are_left_in_the_model(tmp_path):
    task, seen = ScriptedTask(script=(1, 2, 9, 3, 3, 3, 3, 3)), []

    def report(_epoch):
        seen.append({name: value.clone() for name, value in task.model.state_dict().items()})

    state = run(task, tmp_path, report)
    left = task.model.state_dict()
    assert state.best_epoch == 2
    assert not task.model.training
    assert all(torch.equal(left[name], seen[2][name]) for name in left)
    assert not torch.equal(left["0.weight"], seen[-1]["0.weight"])


def test_weights_of_the_last_epoch_are_left_where_the_plan_keeps_those(tmp_path):
    """Whatever the inner hold-out says: no epoch is the best but the last, so nothing stops early."""
    task, seen = ScriptedTask(script=(1, 2, 9, 3, 3, 3, 3, 3)), []

    def report(epoch):
        seen.append((epoch.best, task.model.state_dict()["0.weight"].clone()))

    state = run(task, tmp_path, report, kept_epoch="last", patience=1)
    assert [best for best, _ in seen] == [False] * 7 + [True]
    assert state.best_epoch == 7
    assert torch.equal(task.model.state_dict()["0.weight"], seen[-1][1])


@pytest.mark.parametrize(("warmup", "best"), [(0, 0), (1, 1), (3, 4), (8, 7), (20, 7)])
def test_warm_up_epochs_are_never_the_best_unless_there_is_no_other(tmp_path, warmup, best):
    state = run(ScriptedTask(script=(9, 8, 7, 2, 3, 3, 2, 1)), tmp_path, warmup_epochs=warmup, patience=1)
    assert state.best_epoch == best


def test_loss_that_is_not_finite_ends_in_one_line_that_names_the_rate(tmp_path):
    with pytest.raises(TrainingError, match=r"stage: loss .* in epoch 0 .*learning_rate \(0.02\)") as failure:
        run(ScriptedTask(script=(math.nan,)), tmp_path)
    assert "\n" not in str(failure.value)


def test_fitting_learns_and_leaves_the_global_stream_of_torch_alone(tmp_path):
    task = PictureTask()
    before = torch.random.get_rng_state()
    state = run(task, tmp_path, epochs=12)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert state.history[-1].train_loss < 0.5 * state.history[0].train_loss
    assert state.history[state.best_epoch].inner_auc > 0.8


def test_fit_does_not_depend_on_the_global_stream(tmp_path):
    tasks = PictureTask(), PictureTask()
    for task, seed in zip(tasks, (1, 2), strict=True):
        torch.manual_seed(seed)
        run(task, tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(*(task.model.state_dict().values() for task in tasks), strict=True))


# -- kill and continue -------------------------------------------------------------------------------------------------


@pytest.fixture
def save_each_epoch(monkeypatch):
    monkeypatch.setattr(loop, "_SECONDS_BETWEEN_SAVES", -1.0)


def kill_at(epoch):
    def report(done):
        if done.epoch == epoch:
            raise KeyboardInterrupt

    return report


@pytest.fixture
def uninterrupted(tmp_path):
    task = PictureTask()
    state = run(task, tmp_path / "whole")
    return state, as_bytes(task, tmp_path)


def without_time(history):
    return [epoch.model_copy(update={"seconds": 0.0}) for epoch in history]


@pytest.mark.usefixtures("save_each_epoch")
@pytest.mark.parametrize("killed", [(0,), (1,), (4,), (7,), (2, 3, 6)])
def test_killed_and_continued_gives_the_same_bytes(tmp_path, uninterrupted, killed):
    for epoch in killed:
        with pytest.raises(KeyboardInterrupt):
            run(PictureTask(), tmp_path, kill_at(epoch))
    task, repeated = PictureTask(), []
    state = run(task, tmp_path, lambda epoch: repeated.append(epoch.epoch))
    assert repeated == list(range(killed[-1], 8))
    assert as_bytes(task, tmp_path) == uninterrupted[1]
    assert without_time(state.history) == without_time(uninterrupted[0].history)


@pytest.mark.usefixtures("save_each_epoch")
@pytest.mark.parametrize("changes", [{"optimizer": "adamw", "learning_rate": 1e-3}, {"momentum": 0.0}])
def test_other_optimizers_are_continued_to_the_same_bytes(tmp_path, changes):
    """AdamW keeps two moments and a number of steps, SGD without momentum nothing."""
    whole, task = PictureTask(), PictureTask()
    run(whole, tmp_path / "whole", **changes)
    with pytest.raises(KeyboardInterrupt):
        run(PictureTask(), tmp_path, kill_at(4), **changes)
    run(task, tmp_path, **changes)
    assert as_bytes(task, tmp_path) == as_bytes(whole, tmp_path)


@pytest.mark.usefixtures("save_each_epoch")
def test_continuing_keeps_the_best_epoch_and_the_patience_of_before(tmp_path):
    script = (1, 9, 3, 3, 3, 3, 3, 3)
    with pytest.raises(KeyboardInterrupt):
        run(ScriptedTask(script=script), tmp_path, kill_at(3), patience=3, warmup_epochs=0)
    task = ScriptedTask(script=script, asked=3)
    state = run(task, tmp_path, patience=3, warmup_epochs=0)
    assert (state.best_epoch, len(state.history)) == (1, 5)


@pytest.mark.usefixtures("save_each_epoch")
@pytest.mark.parametrize("damage", ["other key", "cut short", "emptied", "other history", "other format"])
def test_saved_state_of_something_else_is_not_continued(tmp_path, uninterrupted, damage):
    saved = tmp_path / "resume.safetensors"
    with pytest.raises(KeyboardInterrupt):
        run(PictureTask(), tmp_path, kill_at(4), key="old" if damage == "other key" else "key")
    if damage == "cut short":
        saved.write_bytes(saved.read_bytes()[:-500])
    elif damage == "emptied":
        saved.write_bytes(b"")
    elif damage == "other history":
        tensors, note = load_tensors(saved, "")
        save_tensors(saved, tensors, {**note, "history": [{"epoch": 0}]})
    elif damage == "other format":
        tensors, note = load_tensors(saved, "")
        save_tensors(saved, tensors, {**note, "format": "autodls-fit/1"})
    task, repeated = PictureTask(), []
    run(task, tmp_path, lambda epoch: repeated.append(epoch.epoch))
    assert repeated == list(range(8))
    assert as_bytes(task, tmp_path) == uninterrupted[1]


def test_state_is_not_written_more_often_than_once_a_minute(tmp_path):
    run(PictureTask(), tmp_path)
    assert not (tmp_path / "resume.safetensors").exists()


def test_fresh_state_has_no_best():
    state = FitState()
    assert (state.best_epoch, state.best_loss) == (-1, math.inf)
