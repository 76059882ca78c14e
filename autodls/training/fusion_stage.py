"""Stage two of a fold: PCA of the encoders' features and the transformer that fuses them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain

import torch
from torch import Tensor

from autodls.models.fold_files import load_encoder, save_fusion
from autodls.models.folded import FoldedEncoder
from autodls.models.fusion import FusionTransformer
from autodls.models.network import FoldModel, new_fusion, scoring_dtype
from autodls.models.pca import ChannelPCA
from autodls.records.plan import Plan
from autodls.records.splits import Fold
from autodls.seeding import stream_seed
from autodls.training.augmentation import augment_inputs, augment_paper
from autodls.training.background import made_ahead
from autodls.training.bags import Bags
from autodls.training.batches import random_batches, send
from autodls.training.data import FoldRun, centre_crop
from autodls.training.feature_cache import as_scored
from autodls.training.frozen import VIEWS, own_views
from autodls.training.keys import FUSION
from autodls.training.loop import FitSettings, Inputs, Report, fit
from autodls.training.principal import fit_pca
from autodls.training.settings import fit_settings
from autodls.training.settling import encoders_note, modality_dropout, settled

_BATCH_CASES = 16
_WEIGHT_DECAY = 1e-4  # of SGD; that of the encoders may be of another optimizer


@dataclass
class FusionTask:
    """Fit the transformer to projected feature maps.

    `maps` is [view, sample, sequence, channel, h, w] of the train part, `inner_maps` [sample, ...] of the inner
    hold-out, and so is `present`; labels are [case], the samples of each in `bags` and `inner_bags`.
    """

    model: FusionTransformer
    maps: Tensor
    present: Tensor
    labels: Tensor
    inner_maps: Tensor
    inner_present: Tensor
    inner_labels: Tensor
    plan: Plan
    bags: Bags
    inner_bags: Bags

    def batches(self, seed: int) -> Iterator[tuple[Inputs, Tensor]]:
        """Batches and their labels: a random view of a lesion of each case, sequences left out at random."""
        chance = torch.Generator().manual_seed(stream_seed(seed, "views"))
        device, cases = self.labels.device, len(self.labels)
        views = send(torch.randint(len(self.maps), (cases,), generator=chance), device)
        shown = self.bags.draw(seed)
        kept = modality_dropout(self.present[shown], self.plan.training.sequence_dropout, chance)
        for rows in random_batches(torch.arange(cases, device=device), self.plan.training.batch_size, seed):
            yield (self.maps[views[rows], shown[rows]], kept[rows]), self.labels[rows]

    def inner_logits(self) -> Tensor:
        """Logits of the inner hold-out."""
        return self.inner_bags.mean(self.model(self.inner_maps, self.inner_present))


@dataclass(frozen=True)
class FusionInputs:
    """What the fusion of a fold is fitted with: its task, what made the maps, and the early-stopping set's input."""

    task: FusionTask
    encoders: dict[str, FoldedEncoder]
    projections: dict[str, ChannelPCA]
    inner_view: Tensor


def train_fusion(run: FoldRun, report: Report) -> None:
    """Fit PCA, transformer and score scales of a fold and write them to its folder.

    The transformer's epoch and the scales come from the inner hold-out, which the encoders did not see: their features
    of the train part are over-fitted, and so is what a fusion says of them.
    """
    plan, settings = run.plan, fusion_settings(run.plan, run.fold)
    given = fusion_inputs(run, settings.seed)
    task = given.task
    state = fit(task, settings, run.keys.of[FUSION], run.folder.resume(FUSION), report)
    unscaled = FoldModel(given.encoders, given.projections, task.model.eval(), {})
    model = settled(unscaled, given.inner_view, task.inner_present, task.inner_labels, plan, task.inner_bags)
    note = {"key": run.keys.of[FUSION], "fold": run.fold.index, "best_epoch": state.best_epoch}
    save_fusion(run.folder, model, {**note, **encoders_note(run.folder, plan.sequences)})
    run.folder.resume(FUSION).unlink(missing_ok=True)


def fusion_inputs(run: FoldRun, seed: int) -> FusionInputs:
    """Feature maps of a fold's train part, in several views, and of its inner hold-out; PCA sees the first alone."""
    data, fold, plan = run.data, run.fold, run.plan
    encoders = _scoring_encoders(run)
    bags, inner_bags = data.bags(fold.train), data.bags(fold.inner)
    train, inner = bags.rows, inner_bags.rows
    once = bags.draw(seed)  # a patient weighs as much in the PCA, however many lesions there are
    projections, seen = {}, []
    for index, name in enumerate(plan.sequences):
        planes = data.pixels[train, index]
        frozen = plan.network.encoder_frozen
        views = own_views(planes, data.names(bags), plan) if frozen else _views(planes, plan, seed)
        centre = _features(encoders[name], next(views))
        projections[name] = fit_pca(centre[once], data.present[train, index][once], plan.network.pca_dims)
        augmented = (_features(encoders[name], view) for view in views)
        seen.append(torch.stack([projections[name].project(maps) for maps in chain([centre], augmented)]))
    fusion = new_fusion(plan, projections[plan.sequences[0]].components.shape[0])
    fusion.start_from_random(torch.Generator().manual_seed(stream_seed(seed, "weights")))
    inner_view = centre_crop(data.pixels[inner], plan.preprocessing.input_size_px)
    inner_maps = [
        projections[name].project(_features(encoders[name], inner_view[:, index]))
        for index, name in enumerate(plan.sequences)
    ]
    task = FusionTask(
        fusion.to(data.pixels.device),
        torch.stack(seen, dim=2),
        data.present[train],
        data.labels[bags.case_rows],
        torch.stack(inner_maps, dim=1),
        data.present[inner],
        data.labels[inner_bags.case_rows],
        plan,
        bags,
        inner_bags,
    )
    return FusionInputs(task, encoders, projections, inner_view)


def _scoring_encoders(run: FoldRun) -> dict[str, FoldedEncoder]:
    """The encoders as they score, by sequence. They are folded on the CPU, as those of the locked model are."""
    names, device = run.plan.sequences, run.data.pixels.device
    dtype = scoring_dtype(run.plan, device)
    ahead = len(names) if device.type == "cuda" else 0
    loaded = made_ahead(
        lambda name: as_scored(load_encoder(run.folder, name).to(device, dtype), run.plan, run.features), names, ahead
    )
    return {name: encoder() for name, encoder in zip(names, loaded, strict=True)}


def fusion_settings(plan: Plan, fold: Fold) -> FitSettings:
    """How the fusion of a fold is fitted."""
    settings = fit_settings(plan, FUSION, fold.index)
    epochs = plan.training.fusion_epochs
    return replace(
        settings,
        epochs=epochs,
        patience=epochs,
        optimizer="sgd",
        learning_rate=plan.training.fusion_learning_rate,
        weight_decay=_WEIGHT_DECAY,
        bf16=False,
        kept_epoch="best",
    )


def _views(planes: Tensor, plan: Plan, seed: int) -> Iterator[Tensor]:
    """Views [case, channel, h, w] of network input [case, channel, H, W], the first at the centre.

    The seed decides on crops and flips, so the sequences of a case move together.
    """
    size_px = plan.preprocessing.input_size_px
    yield centre_crop(planes, size_px)
    for view in range(1, VIEWS):
        yield augment_inputs(augment_paper, planes, size_px, stream_seed(seed, "view", view))


def _features(encoder: FoldedEncoder, planes: Tensor) -> Tensor:
    """Feature maps [case, channel, h, w] of network input [case, channel, H, W]."""
    with torch.inference_mode():
        return torch.cat([encoder.features(batch) for batch in torch.split(planes, _BATCH_CASES)]).clone()
