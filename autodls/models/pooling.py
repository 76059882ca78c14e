"""From a feature map to one vector a case: what the last linear layer is given."""

import torch
from torch import Tensor
from torch.nn import functional

PLANES = 3
_EMPTY = 1e-3  # weight of every cell: where no cell holds tumour, the average is that of the whole map


def input_channels(*, roi_guided: bool) -> int:
    """Channels that an encoder takes: the planes, and the ROI in each of them where it is guided by it.

    >>> input_channels(roi_guided=False), input_channels(roi_guided=True)
    (3, 6)
    """
    return 2 * PLANES if roi_guided else PLANES


def pooled_features(channels: int, inputs: int) -> int:
    """Numbers that `pool` makes of a map of `channels`, for an encoder of `inputs` channels."""
    return channels if inputs == PLANES else 2 * channels


def pool(features: Tensor, inputs: Tensor, stride_px: int) -> Tensor:
    """Features averaged over the map, [case, pooled], of features [case, channel, h, w] and network input
    [case, channel, H, W].

    Where the input holds the ROI behind the planes, the averages inside it come first: background then has no say in
    them. Cell (i, j) is centred on input pixel (stride i, stride j), and weighs as much as there is tumour around it,
    on average over the planes.
    """
    features = features.float()
    whole = features.mean(dim=(2, 3))
    if inputs.shape[1] == PLANES:
        return whole
    roi = inputs[:, PLANES:].float().mean(dim=1, keepdim=True)
    share = functional.avg_pool2d(roi, stride_px + 1, stride_px, stride_px // 2, count_include_pad=False) + _EMPTY
    inside = (features * share).sum(dim=(2, 3)) / share.sum(dim=(2, 3))
    return torch.cat([inside, whole], dim=1)
