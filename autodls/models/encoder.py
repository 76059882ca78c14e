"""The encoder that is trained: layers of MONAI's ResNet, whose weights have torchvision's names and shapes, or those of
an EfficientNet-lite.

What follows what is told in `resnet` and `efficientnet`, for the encoder that scores as well. Importing this module
imports MONAI (seconds); scoring needs only `autodls.models.folded`.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from monai.networks import nets
from monai.networks.nets import ResNet
from torch import Tensor, nn
from torch.nn import functional

from autodls.models.efficientnet import EfficientNetLite, start_convolution
from autodls.models.family import family_of
from autodls.models.pooling import STEM_CHANNELS, map_of_case, pictures_of, pool
from autodls.records.encoders import ENCODER_SPECS, encoder_stride_px
from autodls.records.network_shape import CLASSES
from autodls.records.plan import Plan


def resnet8(**settings: Any) -> ResNet:
    """He et al. 2016 (arXiv:1512.03385), section 4.2, with n = 1: a 3 x 3 convolution and three stages of one block.

    78 thousand weights instead of 42 million, and a map of an eighth of the input instead of a thirty-second.
    """
    net = ResNet("basic", [1, 1, 1, 1], [16, 32, 64, 64], **{**settings, "conv1_t_size": 3}, no_max_pool=True)
    net.layer4 = nn.Identity()  # MONAI builds four stages
    return net


def _lite(name: str, *, n_input_channels: int, num_classes: int, **_of_resnets: Any) -> EfficientNetLite:
    return EfficientNetLite(name, n_input_channels, num_classes)


_RESNETS = {
    "resnet152": nets.resnet152,
    "resnet101": nets.resnet101,
    "resnet50": nets.resnet50,
    "resnet34": nets.resnet34,
    "resnet18": nets.resnet18,
    "resnet8": resnet8,
}
ENCODERS: dict[str, Callable[..., nn.Module]] = {
    name: _RESNETS[name] if spec.family == "resnet" else partial(_lite, name) for name, spec in ENCODER_SPECS.items()
}
"""They take the settings of MONAI's ResNets; the last linear layer of what they make is called `fc`."""


class SequenceEncoder(nn.Module):
    """A 2.5D encoder: the three planes of one sequence are its input channels.

    Parameters
    ----------
    name : one of `ENCODERS`.
    dropout : chance of dropping a pooled feature before the last linear layer. Whoever trains draws what is kept.
    batch_norm_momentum : weight of the newest batch in the running statistics; small cohorts take few steps, so
        PyTorch's 0.1 leaves the statistics of the first epochs in them.
    roi_guided : each plane is a picture of its own, with the ROI in it, and features are pooled inside it as well.

    `forward` takes float [case, channel, H, W] and returns logits [case, class]. It draws nothing: `keep` is what
    pooled features are multiplied by, [case, feature], zero where one is dropped; without it none is.
    """

    def __init__(self, name: str, dropout: float, batch_norm_momentum: float, *, roi_guided: bool = False) -> None:
        super().__init__()
        self.net: Any
        self.net = ENCODERS[name](
            spatial_dims=2,
            n_input_channels=STEM_CHANNELS[roi_guided],
            shortcut_type="B",
            bias_downsample=False,
            conv1_t_size=7,
            conv1_t_stride=2,
            num_classes=CLASSES,
        )
        pooled = int(self.net.fc.in_features)
        self.net.fc = nn.Linear((1 + roi_guided) * pooled, CLASSES)
        self.stride_px = encoder_stride_px(name)
        layers = {layer: module for layer, module in self.net.named_modules() if isinstance(module, nn.Conv2d)}
        self.family = family_of(layers)
        self._layers: dict[str, tuple[nn.Conv2d, Any]] = {
            layer: (module, self.net.get_submodule(self.family.norm_of(layer))) for layer, module in layers.items()
        }
        self.dropout = dropout
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = batch_norm_momentum

    def forward(self, inputs: Tensor, keep: Tensor | None = None) -> Tensor:
        """Logits [case, class] of network input [case, channel, H, W]."""
        return self.logits(self.features(inputs), inputs, keep)

    def logits(self, features: Tensor, inputs: Tensor, keep: Tensor | None = None) -> Tensor:
        """Logits [case, class] of the feature map of `inputs`."""
        first_px = self.family.first_cell_px(inputs.shape[-1], self.stride_px)
        pooled = pool(features, inputs, self.stride_px, first_px)
        logits: Tensor = self.net.fc(pooled if keep is None else pooled * keep)
        return logits

    @property
    def pooled(self) -> int:
        """Features before the last linear layer."""
        return int(self.net.fc.in_features)

    def features(self, inputs: Tensor) -> Tensor:
        """The last feature map [case, channel, h, w], of which a ResNet-101 has 2048 of H/32 x W/32."""
        stem_px = self._layers[self.family.stem][0].kernel_size[0]
        maps = self.family.feature_map(pictures_of(inputs), self._layers, stem_px, self._convolve)
        return map_of_case(maps, inputs)

    def _convolve(self, name: str, x: Tensor, stride: int, padding: int) -> Tensor:
        convolution, norm = self._layers[name]
        convolved = functional.conv2d(x, convolution.weight, None, stride, padding, 1, convolution.groups)
        normalised: Tensor = norm(convolved)
        return normalised

    def start_from_random(self, generator: torch.Generator) -> None:
        """Draw all weights from `generator`.

        He normal initialisation; the last batch-norm gain of every residual block starts at zero, so that each block
        starts as the identity (Goyal et al. 2017, arXiv:1706.02677, section 5.1). Without it a ResNet-101 does not
        learn from a few dozen cases.
        """
        with torch.no_grad():
            self._reset_norms()
            for module in self.modules():
                if isinstance(module, nn.Conv2d):
                    start_convolution(module, generator)
                elif isinstance(module, nn.Linear):
                    nn.init.normal_(module.weight, std=0.01, generator=generator)
                    nn.init.zeros_(module.bias)
            for norm in self._last_norms():
                norm.weight.zero_()

    def _last_norms(self) -> list[nn.BatchNorm2d]:
        """The last batch norm of each residual block."""
        return [self._layers[name][1] for name in self.family.residual_ends(self._layers)]

    def start_from_weights(self, weights: Mapping[str, Tensor], generator: torch.Generator) -> None:
        """Load weights with the names of its family; the last layer, which has other classes, is drawn anew."""
        with torch.no_grad():
            self._reset_norms()  # older files do not count batches
            nn.init.normal_(self.net.fc.weight, std=0.01, generator=generator)
            nn.init.zeros_(self.net.fc.bias)
        body = {name: value for name, value in weights.items() if not name.startswith("fc.")}
        self.net.load_state_dict({**self.net.state_dict(), **body}, strict=True)

    def _reset_norms(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()


def new_encoder(plan: Plan) -> SequenceEncoder:
    """An encoder as the plan has it, whose weights are still to come."""
    training, network = plan.training, plan.network
    return SequenceEncoder(
        network.encoder, training.encoder_dropout, training.batch_norm_momentum, roi_guided=network.roi_guided
    )
