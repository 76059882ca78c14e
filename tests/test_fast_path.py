"""The fast path and a plain float32 reference agree: the loss of training steps, and the score."""

import copy

import pytest
import torch
from torch.nn import functional

from autodls.models.encoder import SequenceEncoder
from autodls.models.folded import FoldedEncoder
from autodls.models.network import class_logit
from autodls.training.loop import take_step
from autodls.training.loss import FocalMeanLoss
from autodls.training.optimizers import new_optimizer

GAMMA, ALPHA, RATE, MOMENTUM, DECAY = 2.0, 0.4, 0.01, 0.9, 1e-3


@pytest.fixture
def encoder():
    made = SequenceEncoder("resnet50", dropout=0.0, batch_norm_momentum=0.1)
    made.start_from_random(torch.Generator().manual_seed(0))
    return made


def batch(cases=6, side_px=48):
    chance = torch.Generator().manual_seed(1)
    return torch.randn(cases, 3, side_px, side_px, generator=chance), torch.arange(cases) % 2


def plain_focal_loss(logits, labels):
    """Lin et al. 2017, equation 5, written out in float64."""
    chance = functional.softmax(logits.double(), dim=1)[torch.arange(len(labels)), labels]
    weight = torch.where(labels == 1, ALPHA, 1 - ALPHA)
    return (-2 * weight * (1 - chance) ** GAMMA * chance.log()).mean()


def plain_losses(net, planes, labels, steps):
    """NCHW, unfused: the loop of a tutorial."""
    optimizer = torch.optim.SGD(
        net.parameters(), lr=RATE, momentum=MOMENTUM, weight_decay=DECAY, nesterov=True, foreach=False, fused=False
    )
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = plain_focal_loss(net(planes), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_losses_of_training_steps_are_those_of_a_plain_loop(encoder):
    planes, labels = batch()
    expected = plain_losses(copy.deepcopy(encoder).train(), planes, labels, steps=4)
    net = encoder.to(memory_format=torch.channels_last).train()
    optimizer, loss = new_optimizer("sgd", net, RATE, MOMENTUM, DECAY), FocalMeanLoss(GAMMA, ALPHA)
    last = planes.contiguous(memory_format=torch.channels_last)
    found = [float(take_step(net, optimizer, loss, (last,), labels)) for _ in range(4)]
    assert found == pytest.approx(expected, rel=2e-3)
    assert abs(expected[-1] / expected[0] - 1) > 0.01, "so few steps that nothing could differ"


@pytest.mark.parametrize("cases", [1, 6])
def test_score_of_stored_weights_is_that_of_the_plain_network(encoder, cases):
    planes, _ = batch()
    encoder.train()(planes)
    encoder.eval()
    torch.nn.init.normal_(encoder.net.fc.weight, std=0.5, generator=torch.Generator().manual_seed(2))
    stored = FoldedEncoder.from_tensors(FoldedEncoder.from_state(encoder.net.state_dict()).tensors())
    with torch.inference_mode():
        expected = class_logit(encoder(planes[:cases])).sigmoid()
        found = class_logit(stored.logits(stored.features(planes[:cases]), planes[:cases])).sigmoid()
        unpacked = stored.unpacked()
        assert torch.equal(
            class_logit(unpacked.logits(unpacked.features(planes[:cases]), planes[:cases])).sigmoid(), found
        )
    assert found.tolist() == pytest.approx(expected.tolist(), abs=1e-3)


def test_momentum_walks_in_the_order_of_its_parameter(encoder):
    """Fused SGD goes through memory: buffers in another order would move the wrong weights."""
    net = encoder.to(memory_format=torch.channels_last).train()
    optimizer = new_optimizer("sgd", net, RATE, MOMENTUM, DECAY)
    planes, labels = batch(cases=2, side_px=32)
    take_step(net, optimizer, FocalMeanLoss(GAMMA, ALPHA), (planes,), labels)
    for parameter in net.parameters():
        assert optimizer.state[parameter]["momentum_buffer"].stride() == parameter.stride() == parameter.grad.stride()
