"""Stage one of a fold whose encoders are not trained: the last linear layer of each, fitted to features kept on disk.

The network that comes of it is like any other, so fusion, scores, model folder and explanation are those of all.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from autodls.models.encoder import SequenceEncoder
from autodls.models.folded import FoldedEncoder
from autodls.models.network import scoring_dtype
from autodls.models.pooling import pool
from autodls.records.network_shape import CLASSES
from autodls.records.plan import Plan
from autodls.seeding import stream_seed
from autodls.training.augmentation import augment_inputs, augment_paper
from autodls.training.bags import Bags
from autodls.training.batches import random_batches, send
from autodls.training.data import FoldRun, centre_crop
from autodls.training.feature_cache import as_scored
from autodls.training.loop import FitSettings, Inputs, Report, fit

VIEWS = 4  # augmented views of a training case; the first is the centre
_LEAST_SD = 1e-6


@dataclass
class HeadTask:
    """Fit a linear layer to pooled features: `views` [view, sample, feature] of the train part, `inner` [sample, ...].

    Labels are [case], the samples of each in `bags` and `inner_bags`.
    """

    model: nn.Module
    views: Tensor
    labels: Tensor
    inner: Tensor
    inner_labels: Tensor
    plan: Plan
    bags: Bags
    inner_bags: Bags

    def batches(self, seed: int) -> Iterator[tuple[Inputs, Tensor]]:
        """Batches and their labels: a random view of each case."""
        device, cases = self.labels.device, len(self.labels)
        chance = torch.Generator().manual_seed(stream_seed(seed, "views"))
        views = send(torch.randint(len(self.views), (cases,), generator=chance), device)
        shown = self.bags.draw(seed)
        for rows in random_batches(torch.arange(cases, device=device), self.plan.training.batch_size, seed):
            yield (self.views[views[rows], shown[rows]],), self.labels[rows]

    def inner_logits(self) -> Tensor:
        """Logits of the inner hold-out."""
        return self.inner_bags.mean(self.model(self.inner))


def own_views(planes: Tensor, cases: Sequence[str], plan: Plan) -> Iterator[Tensor]:
    """Views [case, channel, h, w] of network input [case, channel, H, W], the first at the centre.

    The chance of a view is that of its case alone, the same for all sequences and in every fold.
    """
    size_px, seed = plan.preprocessing.input_size_px, plan.training.seed
    yield centre_crop(planes, size_px)
    for view in range(1, VIEWS):
        drawn = (
            augment_inputs(augment_paper, one, size_px, stream_seed(seed, "frozen", case, view))
            for case, one in zip(cases, torch.split(planes, 1), strict=True)
        )
        yield torch.cat(list(drawn))


def fit_head(
    run: FoldRun, index: int, rows: dict[str, Bags], encoder: SequenceEncoder, settings: FitSettings, report: Report
) -> int:
    """Fit the last linear layer of `encoder` to the train rows of sequence `index`; the epoch that is kept.

    Features are standardised by those of the train part, and divided by the root of their number, so that a step of the
    plan's rate is as large for many as for few; both go into the layer's weights.
    """
    plan, sequence = run.plan, run.plan.sequences[index]
    device = run.data.pixels.device
    scoring = FoldedEncoder.from_state(encoder.net.state_dict()).to(device, scoring_dtype(plan, device))
    fixed = as_scored(scoring, plan, run.features)
    train, held = rows["train"], rows["inner"]
    names = run.data.names(train)
    views = torch.stack([_pooled(fixed, view) for view in own_views(run.data.pixels[train.rows, index], names, plan)])
    inner = _pooled(fixed, centre_crop(run.data.pixels[held.rows, index], plan.preprocessing.input_size_px))
    mean, sd = views[0].mean(dim=0), views[0].std(dim=0)
    scale = torch.where(sd > _LEAST_SD, sd, torch.inf) * views.shape[-1] ** 0.5
    layer = nn.Linear(views.shape[-1], CLASSES)
    with torch.no_grad():
        layer.weight.copy_(encoder.net.fc.weight)
        layer.bias.copy_(encoder.net.fc.bias)
    model = nn.Sequential(nn.Dropout(encoder.dropout), layer).to(device)
    known, judged = (run.data.labels[part.case_rows] for part in (train, held))
    task = HeadTask(model, (views - mean) / scale, known, (inner - mean) / scale, judged, plan, train, held)
    state = fit(task, settings, run.keys.of[sequence], run.folder.resume(sequence), report)
    with torch.no_grad():
        weight = layer.weight / scale
        encoder.net.fc.weight.copy_(weight)
        encoder.net.fc.bias.copy_(layer.bias - weight @ mean)
    return state.best_epoch


def _pooled(encoder: FoldedEncoder, inputs: Tensor) -> Tensor:
    """What the last linear layer is given, [case, feature], of network input [case, channel, H, W]."""
    with torch.inference_mode():
        stride_px = encoder.stride_px
        first_px = encoder.family.first_cell_px(inputs.shape[-1], stride_px)
        pooled = [pool(encoder.features(one), one, stride_px, first_px) for one in torch.split(inputs, 1)]
        found = torch.cat(pooled)
    return found.clone()
