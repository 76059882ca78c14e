"""The encoder that is trained: MONAI's ResNet in the shape that torchvision's weights fit.

Importing this module imports MONAI (seconds); scoring needs only `autodls.models.folded`.
"""

from collections.abc import Callable, Mapping

import torch
from monai.networks.nets import ResNet, resnet50, resnet101
from torch import Tensor, nn

PLANES = 3
CLASSES = 2
ENCODERS: dict[str, Callable[..., ResNet]] = {"resnet101": resnet101, "resnet50": resnet50}


class SequenceEncoder(nn.Module):
    """A 2.5D ResNet: the three planes of one sequence are its input channels.

    Parameters
    ----------
    name : one of `ENCODERS`.
    dropout : chance of dropping a pooled feature before the last linear layer. Whoever trains draws what is kept.
    batch_norm_momentum : weight of the newest batch in the running statistics; small cohorts take few steps, so
        PyTorch's 0.1 leaves the statistics of the first epochs in them.

    `forward` takes float [case, plane, H, W] and returns logits [case, class]. It draws nothing: `keep` is what pooled
    features are multiplied by, [case, feature], zero where one is dropped; without it none is.
    """

    def __init__(self, name: str, dropout: float, batch_norm_momentum: float) -> None:
        super().__init__()
        self.net = ENCODERS[name](
            spatial_dims=2,
            n_input_channels=PLANES,
            shortcut_type="B",
            bias_downsample=False,
            conv1_t_size=7,
            conv1_t_stride=2,
            num_classes=CLASSES,
        )
        self.dropout = dropout
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = batch_norm_momentum

    def forward(self, planes: Tensor, keep: Tensor | None = None) -> Tensor:
        """Logits [case, class] of planes [case, plane, H, W]."""
        return self.decode(self.features(planes), keep)

    def decode(self, features: Tensor, keep: Tensor | None = None) -> Tensor:
        """Logits [case, class] of a feature map."""
        pooled = features.mean(dim=(2, 3))
        logits: Tensor = self.net.fc(pooled if keep is None else pooled * keep)
        return logits

    @property
    def channels(self) -> int:
        """Channels of the last feature map."""
        return int(self.net.fc.in_features)

    def features(self, planes: Tensor) -> Tensor:
        """The last feature map [case, 2048, H/32, W/32]."""
        net = self.net
        stem = net.maxpool(net.act(net.bn1(net.conv1(planes))))
        features: Tensor = net.layer4(net.layer3(net.layer2(net.layer1(stem))))
        return features

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
                    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
                elif isinstance(module, nn.Linear):
                    nn.init.normal_(module.weight, std=0.01, generator=generator)
                    nn.init.zeros_(module.bias)
            for name, parameter in self.named_parameters():
                if name.endswith("bn3.weight"):
                    parameter.zero_()

    def start_from_weights(self, weights: Mapping[str, Tensor], generator: torch.Generator) -> None:
        """Load ImageNet weights with torchvision's names; the last layer, which has other classes, is drawn anew."""
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
