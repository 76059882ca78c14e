"""A locked model as expressions that can be traced: a fold each, and what brings them together."""

import torch
from torch import Tensor, nn

from autodls.inference.model_folder import LockedModel
from autodls.models.network import FoldModel
from autodls.records.scores import FUSED


class FoldGraph(nn.Module):
    """One fold: raw logits [case, row] of pixels [case, sequence, channel, H, W] and present (bool) [case, sequence].

    Rows are the fused score, then each sequence, NaN where a case lacks it.
    """

    def __init__(self, fold: FoldModel) -> None:
        super().__init__()
        self._fold, self.fusion = fold, fold.fusion  # whose parameters are then known to be of this module

    def forward(self, pixels: Tensor, present: Tensor) -> Tensor:
        """The logits."""
        return self._fold.all_logits(pixels, present)


class EnsembleGraph(nn.Module):
    """All folds together: from their logits [fold, case, row] to scores, as `models.ensemble` makes them."""

    def __init__(self, model: LockedModel) -> None:
        super().__init__()
        rows = (FUSED, *model.plan.sequences)
        scales = [[fold.scale_of(row) for row in rows] for fold in model.folds]
        self._slopes = torch.tensor([[scale.slope for scale in fold] for fold in scales])[:, None]
        self._intercepts = torch.tensor([[scale.intercept for scale in fold] for fold in scales])[:, None]
        record = model.record
        self._of_fold, self._cutoff = record.recalibration, record.cutoff
        self._of_mean = record.ensemble_recalibration or record.recalibration

    def forward(self, logits: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """`log_odds`, `dls`, `high`, `dls_raw`, `spread`, each [case], and `by_sequence` [case, sequence]."""
        scaled = logits * self._slopes + self._intercepts
        mean = scaled.mean(dim=0)
        log_odds = mean[:, 0] * self._of_mean.slope + self._of_mean.intercept
        dls = torch.sigmoid(log_odds)
        each = torch.sigmoid(scaled[:, :, 0] * self._of_fold.slope + self._of_fold.intercept)
        spread = ((each - each.mean(dim=0)) ** 2).mean(dim=0).sqrt()
        raw = torch.sigmoid(logits[:, :, 0]).mean(dim=0)
        return log_odds, dls, dls >= self._cutoff, raw, spread, torch.sigmoid(mean[:, 1:])
