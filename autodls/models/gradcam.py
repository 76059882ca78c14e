"""Grad-CAM of the last convolutional layer, for a sequence's own score and for the fused score.

Selvaraju et al. (2017, arXiv:1610.02391): every channel of the feature map is weighted by the mean of the gradient of
the score over the map; the weighted sum, rectified, shows where the evidence for the class lies. The score here is the
class margin, the logit of positive against negative, of which the softmax output is a function; its gradient reaches
the feature maps through the last linear layer (a sequence's own score) or through transformer and PCA (the fused one).

Where an encoder is guided by the ROI, its features are averaged with weights, so that the gradient differs from cell
to cell: there each cell keeps its own (HiResCAM, Draelos and Carin 2020, arXiv:2011.08891), which is the same map where
they are equal. Its planes go through it one by one, so that each has a feature map and a heat map of its own.

A map is in log-odds per cell, on the common scale of the folds: for a sequence's own score the cells of its maps before
rectification add up to the margin less its bias. Without ROI the three planes are the input channels of one network, so
they share one feature map and one heat map: it does not tell in which of the planes the evidence lies.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from autodls.models.folded import FoldedEncoder
from autodls.models.network import FoldModel, class_logit
from autodls.records.network_shape import PLANE_COUNT
from autodls.records.scores import FUSED

Maps = NDArray[np.float64]


@dataclass(frozen=True)
class ScoreMaps:
    """Heat maps [case, map, h, w] at the size of the feature map; zeros where a case lacks the sequence.

    There is one map for all planes together, or one a plane where the encoders are guided by the ROI. `by_sequence`
    explains each sequence's own score, `fused` the fused score: its gradient at the feature map of each sequence.
    """

    by_sequence: Mapping[str, Maps]
    fused: Mapping[str, Maps]


def activation_map(features: Tensor, gradients: Tensor) -> Tensor:
    """Channels of features [case, channel, h, w] weighted by their mean gradient and summed: [case, 1, h, w], signed.

    >>> features = torch.tensor([[[[1.0, 2.0]], [[0.0, 3.0]]]])
    >>> gradients = torch.tensor([[[[0.0, 2.0]], [[-1.0, -1.0]]]])
    >>> activation_map(features, gradients).tolist()
    [[[[1.0, -1.0]]]]
    """
    return (gradients.mean(dim=(2, 3), keepdim=True) * features).sum(dim=1, keepdim=True)


def own_activation_map(features: Tensor, gradients: Tensor) -> Tensor:
    """Features, each weighted by its own gradient, summed over the channels of each plane: [case, plane, h, w], signed.

    Features are [case, plane x channel, h, w]: all channels of a plane, then those of the next (`map_of_case`).

    >>> features = torch.tensor([[[[1.0, 2.0]], [[0.0, 3.0]], [[5.0, 5.0]]]])
    >>> own_activation_map(features, torch.tensor([[[[0.0, 2.0]], [[-1.0, -1.0]], [[0.0, 1.0]]]])).tolist()
    [[[[0.0, 4.0]], [[0.0, -3.0]], [[0.0, 5.0]]]]
    """
    weighted = gradients * features
    return weighted.reshape(len(weighted), PLANE_COUNT, -1, *weighted.shape[2:]).sum(dim=2)


def heat_maps(folds: Sequence[FoldModel], pixels: Tensor, present: Tensor, rectified: bool = True) -> ScoreMaps:
    """Grad-CAM of every score, averaged over the folds.

    `pixels` is float [case, sequence, channel, H, W] at the plan's input size, `present` bool [case, sequence]. The map
    of a fold is weighted by the slope of its scale, as its margin is where `score_ensemble` averages log-odds. Unless
    `rectified`, evidence against the positive class stays in the maps as negative values.
    """
    return mean_maps([fold_maps(fold, pixels, present, rectified) for fold in folds])


def mean_maps(parts: Sequence[ScoreMaps]) -> ScoreMaps:
    """The mean of the maps of several folds."""
    names = list(parts[0].fused)
    return ScoreMaps(
        {name: np.mean([part.by_sequence[name] for part in parts], axis=0) for name in names},
        {name: np.mean([part.fused[name] for part in parts], axis=0) for name in names},
    )


def fold_maps(fold: FoldModel, pixels: Tensor, present: Tensor, rectified: bool = True) -> ScoreMaps:
    """Grad-CAM of every score of one fold, on the common scale; see `heat_maps`."""
    encoders = list(fold.encoders.items())
    features = [_features(encoder, pixels[:, index]) for index, (_, encoder) in enumerate(encoders)]
    here, pixels = present.to(features[0].device), pixels.to(features[0].device)
    projected = [fold.projections[name].project(one) for (name, _), one in zip(encoders, features, strict=True)]
    margins = [
        class_logit(encoder.logits(features[index], pixels[:, index])) for index, (_, encoder) in enumerate(encoders)
    ]
    fused = fold.fused_margin(torch.stack(projected, dim=1), torch.stack(margins, dim=1), here)

    cam = activation_map if pixels.shape[2] == PLANE_COUNT else own_activation_map

    def explain(margin: Tensor, row: str, index: int) -> Maps:
        (gradients,) = torch.autograd.grad(margin.sum(), features[index], retain_graph=True)
        signed = fold.scale_of(row).slope * cam(features[index].detach(), gradients)
        shown = signed.relu() if rectified else signed
        values: Maps = (shown * here[:, index, None, None, None]).double().cpu().numpy()
        return values

    return ScoreMaps(
        {name: explain(margins[index], name, index) for index, (name, _) in enumerate(encoders)},
        {name: explain(fused, FUSED, index) for index, (name, _) in enumerate(encoders)},
    )


def _features(encoder: FoldedEncoder, planes: Tensor) -> Tensor:
    """The last feature map as a leaf of the graph: gradients are wanted there, not within the encoder."""
    with torch.no_grad():
        features = encoder.features(planes.to(encoder.fc[0].device))
    return features.requires_grad_()


def shuffled(fold: FoldModel, chance: np.random.Generator) -> FoldModel:
    """`fold` with untrained encoders: the weights of every layer in random order, so that only their sizes are kept.

    For the sanity check of Adebayo et al. (2018, arXiv:1810.03292). PCA, transformer and scales stay.
    """

    def mix(values: Tensor) -> Tensor:
        order = torch.from_numpy(chance.permutation(values.numel())).to(values.device)
        return values.flatten()[order].reshape(values.shape)

    def mix_all(encoder: FoldedEncoder) -> FoldedEncoder:
        convolutions = {name: (mix(weight), mix(bias)) for name, (weight, bias) in encoder.convolutions.items()}
        return FoldedEncoder(convolutions, (mix(encoder.fc[0]), mix(encoder.fc[1])))

    return replace(fold, encoders={name: mix_all(encoder) for name, encoder in fold.encoders.items()})


def to_input_size(cells: Maps, size_px: int, stride_px: int = 32, first_px: int = 0) -> Maps:
    """Maps [..., h, w] at the size of the network's input, [..., size_px, size_px], by linear interpolation.

    Cell (i, j) goes to input pixel (first + stride i, first + stride j), the centre of its receptive field: each of the
    convolutions or poolings of stride 2 of a ResNet is centred on every second of its inputs, from the first on
    (`records.encoders.first_cell_px` has the others). Stretching the map over the
    picture, as is common, would put it half a cell too far down and right. Beyond the last centre its value goes on.

    >>> to_input_size(np.array([[0.0, 1.0], [0.0, 1.0]]), 64)[0, [0, 16, 32, 63]].tolist()
    [0.0, 0.5, 1.0, 1.0]
    """
    places = (np.arange(size_px) - first_px) / stride_px
    rows, columns = np.meshgrid(places, places, indexing="ij")
    flat = cells.reshape(-1, *cells.shape[-2:])
    enlarged = [ndimage.map_coordinates(one, (rows, columns), order=1, mode="nearest") for one in flat]
    return np.stack(enlarged).reshape(*cells.shape[:-2], size_px, size_px)
