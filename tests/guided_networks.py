"""Encoders whose batch norms do something, and network input with a tumour in each plane."""

import torch
from tiny_models import tiny_plan
from torch import nn

from autodls.models.encoder import SequenceEncoder
from autodls.records.network_shape import PLANE_COUNT


def unsettle_norms(encoder, draw, gains=(0.4, 0.8), bias=0.1, means=0.1):
    """Draw gains from a range, and biases and running means of that deviation, of every batch norm; 0 leaves them."""
    with torch.no_grad():
        for module in encoder.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(*gains, generator=draw)
                for part, deviation in ((module.bias, bias), (module.running_mean, means)):
                    if deviation:
                        part.normal_(0, deviation, generator=draw)


def eventful_encoder(name, *, roi_guided):
    """In evaluation mode; every weight and every statistic of it shows in the logits."""
    draw = torch.Generator().manual_seed(0)
    encoder = SequenceEncoder(name, dropout=0.2, batch_norm_momentum=0.1, roi_guided=roi_guided)
    encoder.start_from_random(draw)
    unsettle_norms(encoder, draw)
    with torch.no_grad():
        encoder.net.fc.weight.normal_(0, 0.5, generator=draw)
        encoder.net.fc.bias.copy_(torch.tensor([0.2, -0.1]))
    return encoder.eval()


def guided_input(cases=2, size_px=64, *, roi_guided=True, seed=1):
    """Noise [case, channel, H, W], and a square of tumour elsewhere in each plane."""
    planes = torch.randn(cases, PLANE_COUNT, size_px, size_px, generator=torch.Generator().manual_seed(seed))
    roi = torch.zeros_like(planes)
    for plane in range(PLANE_COUNT):
        first, side = 4 + 8 * plane, size_px // 4
        roi[:, plane, first : first + side, 6 : 6 + side + plane] = 1
    return torch.cat([planes, roi], dim=1) if roi_guided else planes


def guided_plan(encoder="resnet8", input_size_px=64, *, roi_guided=True, fallback="none"):
    """The tiny plan with that network."""
    plan = tiny_plan(input_size_px=input_size_px, slice_size_px=input_size_px + 8)
    fusion = plan.network.fusion.model_copy(update={"fallback": fallback})
    changes = {"encoder": encoder, "roi_guided": roi_guided, "fusion": fusion}
    return plan.model_copy(update={"network": plan.network.model_copy(update=changes)})
