"""Does the fusion over-trust features of cases that its encoders have seen? Stacking, checked on a trained workspace.

    python benchmarks/stacking.py -d DATASET -w WORKSPACE

Beside the two-stage model as it is trained (the inner hold-out, which the encoders did not see, chooses the fusion's
epoch) stand three that cannot over-trust, or need not: the mean of the sequences' log-odds, which has nothing to fit; a
logistic stack fitted on cross-fitted scores (out-of-fold log-odds of the cases of the other folds); and the two-stage
model fine-tuned end to end, its epoch again chosen by the inner hold-out. All are judged by the same out-of-fold cases.
Cross-fitted features are not compared: encoders of different folds have different channels, so one fusion cannot be
fitted on the features of several.
"""

from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from autodls.cli.session import Session
from autodls.evaluation.delong import auc_with_ci, compare_aucs
from autodls.models.encoder import SequenceEncoder
from autodls.models.fold_model import FoldModel, class_margin, load_fold
from autodls.models.fusion import FusionTransformer
from autodls.models.pca import ChannelPCA
from autodls.models.scale import fit_scale
from autodls.records.plan import Plan
from autodls.records.scores import FUSED, FoldScore, load_fold_scores
from autodls.records.splits import Fold
from autodls.records.tensors import load_tensors
from autodls.records.workspace import FoldFolder
from autodls.training.augmentation import augment_paper
from autodls.training.data import TrainingData, centre_crop, load_training_data
from autodls.training.loop import fit, random_batches
from autodls.training.sequence_stage import fit_settings

EPOCHS, LEARNING_RATE = 8, 0.001  # of the fine-tuning: a tenth of what the encoders were trained with
Floats = NDArray[np.float64]
Scores = dict[str, float]


class EndToEnd(nn.Module):
    """Encoders, projections and fusion as one network; `forward` takes pixels [case, sequence, plane, H, W]."""

    def __init__(
        self, encoders: Mapping[str, SequenceEncoder], projections: Mapping[str, ChannelPCA], fusion: FusionTransformer
    ) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(encoders.values())
        self.projections, self.fusion = list(projections.values()), fusion

    def forward(self, pixels: Tensor, present: Tensor) -> Tensor:
        """Logits [case, class]."""
        maps = [
            pca.project(encoder.features(pixels[:, index]))
            for index, (encoder, pca) in enumerate(zip(self.encoders, self.projections, strict=True))
        ]
        logits: Tensor = self.fusion(torch.stack(maps, dim=1), present)
        return logits


@dataclass
class EndToEndTask:
    """Fine-tuning on the train part of a fold."""

    model: EndToEnd
    data: TrainingData
    train: Tensor
    inner: Tensor
    plan: Plan

    @property
    def inner_labels(self) -> Tensor:
        """Labels of the inner hold-out."""
        return self.data.labels[self.inner]

    def batches(self, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Logits and labels; the sequences of a case are cropped and flipped together."""
        size_px = self.plan.preprocessing.input_size_px
        for number, rows in enumerate(random_batches(self.train, self.plan.training.batch_size, seed)):
            pixels = self.data.pixels[rows]
            views = augment_paper(pixels.flatten(1, 2), size_px, seed + number)
            yield (
                self.model(views.reshape(*pixels.shape[:3], size_px, size_px), self.data.present[rows]),
                (self.data.labels[rows]),
            )

    def logits(self, rows: Tensor) -> Tensor:
        """Logits [case, class] of cases, cropped at the centre."""
        pixels = centre_crop(self.data.pixels[rows], self.plan.preprocessing.input_size_px)
        parts = zip(torch.split(pixels, 16), torch.split(self.data.present[rows], 16), strict=True)
        return torch.cat([self.model(part, present) for part, present in parts])

    def inner_logits(self) -> Tensor:
        """Logits of the inner hold-out."""
        return self.logits(self.inner)


def fine_tuned(data: TrainingData, fold: Fold, plan: Plan, folder: FoldFolder) -> tuple[Scores, int]:
    """Log-odds of the validation cases after fine-tuning a fold end to end, and its best epoch (0 is the first)."""
    whole: FoldModel = load_fold(folder, plan, data.pixels.device)
    encoders = {}
    for name in plan.sequences:
        encoder = SequenceEncoder(plan.network.encoder, plan.training.encoder_dropout, 0.0)
        encoder.net.load_state_dict(load_tensors(folder.sequence(name), "train anew")[0])
        encoders[name] = encoder.to(memory_format=torch.channels_last)
    train, inner, validation = (data.rows(getattr(fold, part)) for part in ("train", "inner", "validation"))
    model = EndToEnd(encoders, whole.projections, whole.fusion)
    task = EndToEndTask(model, data, train, inner, plan)
    settings = replace(
        fit_settings(plan, "end-to-end", fold.index),
        epochs=EPOCHS, patience=EPOCHS, learning_rate=LEARNING_RATE, warmup_epochs=1,
    )  # fmt: skip
    state = fit(task, settings, "none", folder.root / "never-saved", lambda epoch: print(f"  {epoch}"))
    with torch.inference_mode():
        margins = {part: class_margin(task.logits(rows)).double().numpy() for part, rows in
                   (("inner", inner), ("validation", validation))}  # fmt: skip
    scale = fit_scale(margins["inner"], data.labels[inner].numpy() == 1)
    return dict(zip(fold.validation, scale.log_odds(margins["validation"]).tolist(), strict=True)), state.best_epoch


def stacked(scores: Mapping[int, list[FoldScore]], sequences: tuple[str, ...]) -> Scores:
    """Log-odds of a logistic stack; that of each fold is fitted on the out-of-fold scores of the others."""
    found: Scores = {}
    for index, members in scores.items():
        others = [score for other, cases in scores.items() if other != index for score in cases]
        model = LogisticRegression(C=1.0).fit(_table(others, sequences), [score.label for score in others])
        odds = model.decision_function(_table(members, sequences))
        found |= dict(zip((score.case for score in members), odds.tolist(), strict=True))
    return found


def _table(scores: list[FoldScore], sequences: tuple[str, ...]) -> Floats:
    """Log-odds [case, sequence]; 0 where a case lacks the sequence."""
    return np.array([[score.log_odds.get(name, 0.0) for name in sequences] for score in scores])


def main() -> None:
    """Print a table."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("-d", "--dataset", type=Path, required=True)
    parser.add_argument("-w", "--workspace", type=Path)
    parser.add_argument("--no-fine-tuning", action="store_true", help="leave out what takes minutes")
    asked = parser.parse_args()
    session = Session.open(asked.dataset, asked.workspace)
    plan, workspace = session.plan(), session.workspace
    splits = session.splits(plan)
    every = {fold.index: load_fold_scores(workspace.fold(fold.index), plan.sequences) for fold in splits.folds}
    unseen = {index: [score for score in scores if score.part == "validation"] for index, scores in every.items()}
    judged = [score for scores in unseen.values() for score in scores]
    labels = np.array([score.label for score in judged])
    mean = {
        score.case: float(np.mean([score.log_odds[n] for n in plan.sequences if n in score.log_odds]))
        for score in judged
    }
    rows: dict[str, Scores] = {
        "two stages (ours)": {score.case: score.log_odds[FUSED] for score in judged},
        "mean of the sequences' log-odds": mean,
        "logistic stack of cross-fitted scores": stacked(unseen, plan.sequences),
    }
    if not asked.no_fine_tuning:
        data = load_training_data(session.training, workspace.sample, torch.device("cpu"))
        tuned: Scores = {}
        for fold in splits.folds:
            scores, epoch = fine_tuned(data, fold, plan, workspace.fold(fold.index))
            print(f"fold {fold.index}: best epoch {epoch + 1} of {EPOCHS}")
            tuned |= scores
        rows["two stages, then fine-tuned end to end"] = tuned
    for part in ("train", "inner"):
        members = [score for scores in every.values() for score in scores if score.part == part]
        seen = auc_with_ci(np.array([s.label for s in members]), np.array([s.log_odds[FUSED] for s in members]))
        print(f"two stages, part '{part}': AUC {seen.value:.3f}")
    reference = np.array(list(rows["two stages (ours)"].values()))
    for name, scores in rows.items():
        values = np.array([scores[score.case] for score in judged])
        found, compared = auc_with_ci(labels, values), compare_aucs(labels, values, reference)
        interval = f"{found.value:.3f} ({found.low:.3f}-{found.high:.3f})"
        print(f"{name:40s} AUC {interval}, delta {compared.delta:+.3f}, P {compared.p:.2f}")


if __name__ == "__main__":
    main()
