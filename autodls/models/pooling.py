"""How an encoder takes the planes of a case, and what its last linear layer is given.

Two ways. As the paper reads, the three planes are the channels of one picture. An encoder that is guided by the ROI
takes each plane on its own, with the ROI in it as a second channel, by the same weights: planes that lie across each
other have no pixel in common, and three pictures a case teach more than one.
"""

import torch
from torch import Tensor
from torch.nn import functional

from autodls.records.network_shape import PLANE_COUNT

STEM_CHANNELS = {False: PLANE_COUNT, True: 2}  # of the first convolution, by whether the ROI guides


def input_channels(*, roi_guided: bool) -> int:
    """Channels of the network input: the planes, then the ROI in each of them where it guides.

    >>> input_channels(roi_guided=False), input_channels(roi_guided=True)
    (3, 6)
    """
    return 2 * PLANE_COUNT if roi_guided else PLANE_COUNT


def pictures_of(inputs: Tensor) -> Tensor:
    """What the first convolution takes, [picture, channel, H, W], of network input [case, channel, H, W]: a picture a
    case, or one a plane where the ROI guides.
    """
    if inputs.shape[1] == PLANE_COUNT:
        return inputs
    return torch.stack([inputs[:, :PLANE_COUNT], inputs[:, PLANE_COUNT:]], dim=2).flatten(0, 1)


def map_of_case(maps: Tensor, inputs: Tensor) -> Tensor:
    """Feature maps of pictures [picture, channel, h, w] as one of each case, [case, channel, h, w]: those of its planes
    behind each other.
    """
    return maps.reshape(inputs.shape[0], -1, *maps.shape[2:])


def pool(features: Tensor, inputs: Tensor, stride_px: int, first_px: int = 0) -> Tensor:
    """Features averaged over places, [case, pooled], of a map of features [case, channel, h, w] and its network input.

    Where the ROI guides, averages inside it come first: background has no say in them. Cell (i, j) is centred on input
    pixel (first + stride i, first + stride j), and weighs as much as there is tumour around it; in a plane without
    tumour all weigh alike. Then, as without ROI, averages over the whole crop. Planes count alike.
    """
    features = features.float()
    if inputs.shape[1] == PLANE_COUNT:
        return features.mean(dim=(2, 3))
    maps = features.reshape(features.shape[0], PLANE_COUNT, -1, *features.shape[2:])
    roi = inputs[:, PLANE_COUNT:, first_px:, first_px:].float()
    share = functional.avg_pool2d(roi, stride_px + 1, stride_px, stride_px // 2, count_include_pad=False)
    share = share.where(share.sum(dim=(2, 3), keepdim=True) > 0, 1.0)
    # No einsum: autocast would take it in bfloat16.
    inside = (maps * share[:, :, None]).sum(dim=(3, 4)) / share.sum(dim=(2, 3))[:, :, None]
    return torch.cat([inside.mean(dim=1), maps.mean(dim=(1, 3, 4))], dim=1)
