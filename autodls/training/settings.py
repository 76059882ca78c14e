"""What the plan says of fitting a stage."""

import torch

from autodls.models.network import has_bf16
from autodls.records.plan import Plan
from autodls.seeding import stream_seed
from autodls.training.loop import FitSettings


def fit_settings(plan: Plan, stage: str, fold: int) -> FitSettings:
    """The plan's settings for one network of one fold."""
    training = plan.training
    device = torch.device(plan.budget.device)
    return FitSettings(
        name=stage,
        epochs=training.epochs,
        patience=training.patience,
        optimizer=training.optimizer,
        learning_rate=training.learning_rate,
        momentum=training.momentum,
        weight_decay=training.weight_decay,
        warmup_epochs=training.warmup_epochs,
        focal_gamma=training.focal_gamma,
        focal_alpha=training.focal_alpha,
        bf16=training.precision == "bf16" and has_bf16(device),
        seed=stream_seed(training.seed, "fold", fold, stage),
        kept_epoch=training.kept_epoch,
    )
