"""The loss that networks are fitted by."""

from torch import Tensor, nn
from torch.nn import functional

UNKNOWN = -1  # the label of an output that is not judged


class FocalMeanLoss(nn.Module):
    """Focal loss (Lin et al. 2017, arXiv:1708.02002) of softmax outputs of two classes, as the mean over cases.

    Scaled so that gamma 0 and alpha 0.5 give cross entropy. `alpha` weighs positive cases, 1 - `alpha` negative ones.
    It needs no tensor of the host and waits for nothing, so that a step can be captured as a CUDA graph.

    >>> import math, torch
    >>> loss = FocalMeanLoss(gamma=0.0, alpha=0.5)
    >>> round(float(loss(torch.zeros(4, 2), torch.tensor([0, 1, 1, 0]))), 6) == round(math.log(2), 6)
    True
    """

    def __init__(self, gamma: float, alpha: float) -> None:
        super().__init__()
        self.gamma, self.alpha = gamma, alpha

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean loss of logits [..., class] and labels [...], leaving out labels that are `UNKNOWN`."""
        positive, known = labels.to(logits.dtype), (labels != UNKNOWN).to(logits.dtype)
        margin = (2 * positive - 1) * (logits[..., 1] - logits[..., 0])  # in favour of the true class
        weight = (1 - self.alpha) + (2 * self.alpha - 1) * positive
        # (1 - p) ** gamma, but with a gradient also where p is one
        focus = (self.gamma * functional.logsigmoid(-margin)).exp()
        losses: Tensor = -2 * weight * known * focus * functional.logsigmoid(margin)
        return losses.sum() / known.sum()
