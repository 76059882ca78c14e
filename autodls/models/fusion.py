"""The transformer that fuses the sequences (Ding et al. 2025, "Feature fusion and DLS construction").

The projected feature maps of all sequences are concatenated along the channels and cut into patches; every patch is a
token with a learned position; encoder layers let the tokens see each other; their mean is decoded by an MLP, and the
softmax of its two outputs is the deep learning score.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from autodls.records.network_shape import CLASSES


class FusionTransformer(nn.Module):
    """From projected feature maps of all sequences to logits.

    Parameters
    ----------
    sequences : number of sequences.
    channels : projected channels per sequence.
    map_px : side of the feature map.
    patch_px : side of a token, in pixels of the feature map; of a smaller map, the whole of it is one.
    heads, layers, dropout : of the transformer.

    A sequence that a case does not have is replaced by a learned vector, the same at every place.
    """

    def __init__(
        self, sequences: int, channels: int, map_px: int, *, patch_px: int, heads: int, layers: int, dropout: float
    ) -> None:
        super().__init__()
        self.patch_px = min(patch_px, map_px)
        tokens = (map_px // self.patch_px) ** 2
        width = sequences * channels * self.patch_px**2
        self.missing = nn.Parameter(torch.zeros(sequences, channels))
        self.position = nn.Parameter(torch.zeros(tokens, width))
        layer = nn.TransformerEncoderLayer(
            width, heads, 2 * width, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, layers, norm=nn.LayerNorm(width), enable_nested_tensor=False)
        self.decoder = nn.Sequential(
            nn.Linear(width, width // 2), nn.GELU(), nn.Dropout(dropout), nn.Linear(width // 2, CLASSES)
        )

    def start_from_random(self, generator: torch.Generator) -> None:
        """Draw all weights from `generator`: truncated normal, standard deviation 0.02, biases zero."""
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if parameter.ndim > 1:
                    nn.init.trunc_normal_(parameter, std=0.02, generator=generator)
                elif name.endswith("bias"):
                    nn.init.zeros_(parameter)

    def forward(self, maps: Tensor, present: Tensor) -> Tensor:
        """Logits [case, class] of maps [case, sequence, channel, h, w] and present (bool) [case, sequence]."""
        with attention_kernel(maps.device):
            return self._logits(maps, present)

    def _logits(self, maps: Tensor, present: Tensor) -> Tensor:
        maps = torch.where(present[:, :, None, None, None], maps, self.missing[:, :, None, None])
        tokens = functional.pixel_unshuffle(self._whole_patches(maps.flatten(1, 2)), self.patch_px)
        hidden = self.encoder(tokens.flatten(2).transpose(1, 2) + self.position)
        logits: Tensor = self.decoder(hidden.mean(dim=1))
        return logits

    def _whole_patches(self, maps: Tensor) -> Tensor:
        side = maps.shape[-1] // self.patch_px * self.patch_px
        return maps[:, :, :side, :side]


def attention_kernel(device: torch.device) -> AbstractContextManager[object]:
    """On a GPU attention is plain products: of a few tokens they are as quick, and those that are not differ by run."""
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cuda" else nullcontext()
