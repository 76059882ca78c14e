"""In bfloat16 every forward uses the weights as they are, and a network learns what it learns in float32.

Autocast casts on every processor, slowly where it has no such arithmetic, so that this is tried on any machine. `stale`
puts back what was: one context around an epoch, in which autocast keeps the weights of the epoch's first step.
"""

import contextlib

import pytest
import torch
from picture_task import PictureTask, pictures, settings, small_net
from torch import nn

from autodls.training import loop
from autodls.training.loop import fit, take_step
from autodls.training.loss import FocalMeanLoss
from autodls.training.optimizers import new_optimizer

AUTOCAST = torch.autocast
STEPS, GUESS = 30, 0.173  # the focal loss with gamma 2 of a score of one half


class stale(AUTOCAST):  # noqa: N801
    """Keeps what it has cast as long as a context around it is open."""

    def __init__(self, device, dtype, enabled=True, cache_enabled=True):
        super().__init__(device, dtype, enabled=enabled, cache_enabled=True)


def bf16(net, *inputs):
    with AUTOCAST("cpu", torch.bfloat16, cache_enabled=False):
        return net(*inputs).float()


def task_without_dropout():
    task = PictureTask()
    task.model[5].p = 0.0
    return task


def forwards_of_an_epoch(task):
    """What the network was given, what it said, and the weights that it had then, at every step."""
    seen, net = [], task.model

    def note(_module, inputs, output):
        weights = {name: value.clone() for name, value in net.state_dict().items()}
        seen.append((inputs, output.detach().float(), weights))

    hook = net.register_forward_hook(note)
    for _ in loop._Run(task, settings(bf16=True), new_optimizer("sgd", net, 0.05, 0.9, 0.0), None)._train(seed=0):
        pass
    hook.remove()
    return seen


@pytest.mark.parametrize(
    ("context", "kept"), [(contextlib.nullcontext, False), (AUTOCAST, False), (stale, True)], ids=["", "open", "stale"]
)
def test_every_step_of_an_epoch_uses_the_weights_as_they_are(monkeypatch, context, kept):
    """Also where somebody opens a context around the loop. With the casts that are kept, this test sees it."""
    task, around = task_without_dropout(), () if context is contextlib.nullcontext else ("cpu", torch.bfloat16)
    monkeypatch.setattr(torch, "autocast", stale if kept else AUTOCAST)
    with context(*around):
        seen = forwards_of_an_epoch(task)
    assert len(seen) == 4
    apart = []
    for inputs, found, weights in seen:
        task.model.load_state_dict(weights)
        with torch.no_grad():
            apart.append(float((found - bf16(task.model.train(), *inputs)).abs().max()))
    assert apart[0] == 0 and (max(apart) > 0.01 if kept else max(apart) == 0)


def losses_of_steps(enabled, steps=STEPS):
    """The losses of some steps on ever the same cases, and the scores after them."""
    net, (pixels, labels) = small_net(), pictures(24, 1)
    net[5].p = 0.0
    optimizer, loss = new_optimizer("sgd", net.train(), 0.02, 0.9, 1e-4), FocalMeanLoss(2.0, 0.5)
    losses = [float(take_step(net, optimizer, loss, (pixels,), labels, bf16=enabled)) for _ in range(steps)]
    with torch.inference_mode():
        return torch.tensor(losses), net.eval()(pixels).softmax(dim=1)[:, 1]


def test_a_network_learns_in_bfloat16_what_it_learns_in_float32():
    """Within 0.02 of the loss of every step, which falls below a guess, and 0.05 of every probability at the end."""
    (half, scores_half), (full, scores_full) = losses_of_steps(True), losses_of_steps(False)
    assert full[-1] < GUESS / 2
    torch.testing.assert_close(half, full, atol=0.02, rtol=0)
    torch.testing.assert_close(scores_half, scores_full, atol=0.05, rtol=0)


def test_with_weights_that_are_kept_it_does_not(monkeypatch):
    monkeypatch.setattr(torch, "autocast", stale)
    with torch.autocast("cpu", torch.bfloat16):
        half, _ = losses_of_steps(True)
    assert (half - losses_of_steps(False)[0]).abs().max() > 0.2


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_fit_in_bfloat16_ends_where_one_in_float32_ends(tmp_path, optimizer):
    rate = {"sgd": 0.003, "adamw": 1e-3}[optimizer]
    ends = []
    for enabled in (True, False):
        task, chosen = task_without_dropout(), settings(bf16=enabled, optimizer=optimizer, learning_rate=rate)
        ends.append(fit(task, chosen, "key", tmp_path / "none", lambda _epoch: None).history[-1])
    assert ends[0].train_loss == pytest.approx(ends[1].train_loss, abs=0.02)
    assert ends[0].inner_loss == pytest.approx(ends[1].inner_loss, abs=0.03)


def test_layers_are_cast_at_all():
    """So that the tests above compare what they say."""
    net = small_net()
    net[5].p = 0.0
    pixels, _ = pictures(4, 1)
    assert isinstance(net[0], nn.Conv2d)
    assert 0 < float((bf16(net, pixels) - net(pixels)).detach().abs().max()) < 0.5
