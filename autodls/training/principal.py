"""Principal components of feature maps, on the device that holds them."""

import torch
from torch import Tensor

from autodls.models.pca import ChannelPCA


def fit_pca(features: Tensor, present: Tensor, dims: int) -> ChannelPCA:
    """Principal components of the channels of [case, channel, h, w], over the places of all cases that are present.

    In float64, and with scikit-learn's signs: the largest loading of a component is positive. Components beyond what
    the data have are zero.
    """
    pixels = features[present].permute(0, 2, 3, 1).flatten(0, 2).double()
    places, channels = pixels.shape
    mean = pixels.mean(dim=0)
    directions, variances = _directions(pixels - mean)
    kept = min(dims, places - 1, channels)
    components = pixels.new_zeros(dims, channels)
    components[:kept] = _with_signs(directions[:kept])
    scale = variances[0].sqrt() if variances[0] > 0 else torch.ones_like(variances[0])
    return ChannelPCA(mean.float(), components.float(), scale.float())


def _directions(centred: Tensor) -> tuple[Tensor, Tensor]:
    """Orthonormal directions [direction, channel] of [place, channel] and the variances along them, largest first."""
    places, channels = centred.shape
    if places > channels:
        variances, vectors = torch.linalg.eigh(centred.T @ centred / (places - 1))
        return vectors.T.flip(0), variances.flip(0).clamp(min=0)
    _, lengths, vectors = torch.linalg.svd(centred, full_matrices=False)
    return vectors, lengths**2 / (places - 1)


def _with_signs(directions: Tensor) -> Tensor:
    largest = directions.abs().argmax(dim=1, keepdim=True)
    return directions * directions.gather(1, largest).sign()
