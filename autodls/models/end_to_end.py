"""The network of one fold as fine-tuning fits it: encoders with batch norm, projections and fusion, all at once."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from autodls.models.encoder import SequenceEncoder
from autodls.models.fusion import FusionTransformer
from autodls.models.pca import ChannelPCA


class EndToEnd(nn.Module):
    """Encoders [sequence], fixed projections and fusion as one network.

    Batch norm keeps the statistics of stage one: few steps follow, on batches that are no better.
    """

    def __init__(
        self, encoders: Sequence[SequenceEncoder], projections: Sequence[ChannelPCA], fusion: FusionTransformer
    ) -> None:
        super().__init__()
        self.encoders, self.projections, self.fusion = tuple(encoders), projections, fusion
        self.registered = nn.ModuleList(encoders)  # so that their weights are the network's

    def forward(self, pixels: Tensor, present: Tensor, keep: Tensor | None = None) -> Tensor:
        """Logits [case, 1 + sequence, class]: the fused ones, and each sequence's own.

        `pixels` is [case, sequence, channel, H, W], `present` bool [case, sequence], `keep` [case, sequence, feature].
        """
        own, maps = [], []
        for index, (encoder, projection) in enumerate(zip(self.encoders, self.projections, strict=True)):
            inputs = pixels[:, index].contiguous(memory_format=torch.channels_last)
            features = encoder.features(inputs)
            own.append(encoder.logits(features, inputs, None if keep is None else keep[:, index]))
            with torch.autocast(pixels.device.type, enabled=False):
                maps.append(projection.project(features.float()))
        with torch.autocast(pixels.device.type, enabled=False):
            fused = self.fusion(torch.stack(maps, dim=1), present)
        return torch.stack([fused, *(logits.float() for logits in own)], dim=1)

    def train(self, mode: bool = True) -> "EndToEnd":
        """Training mode for all but batch norm."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self
