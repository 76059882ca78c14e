"""Does the fusion over-trust features of cases that its encoders have seen? Stacking, checked on a trained workspace.

    python benchmarks/stacking.py -d DATASET -w WORKSPACE

Beside the two-stage model as it is trained (the inner hold-out, which the encoders did not see, chooses the fusion's
epoch) stand three that cannot over-trust, or need not: the mean of the sequences' log-odds, which has nothing to fit; a
logistic stack fitted on cross-fitted scores (out-of-fold log-odds of the cases of the other folds); and the two-stage
model fine-tuned end to end, its epoch again chosen by the inner hold-out. All are judged by the same out-of-fold cases.
Cross-fitted features are not compared: encoders of different folds have different channels, so one fusion cannot be
fitted on the features of several.
"""

import tempfile
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from autodls.evaluation.delong import auc_with_ci, compare_aucs
from autodls.models.fold_files import load_fold
from autodls.records.files import link_or_copy, sha256_of_file
from autodls.records.model_folders import FoldFolder
from autodls.records.plan import Plan
from autodls.records.scores import FUSED, FoldScore, load_fold_scores
from autodls.records.splits import Fold
from autodls.stages.session import Session
from autodls.training.data import FoldRun, TrainingData, load_training_data
from autodls.training.fine_tuning_stage import fine_tune
from autodls.training.fold_scores import score_fold
from autodls.training.keys import one_key

EPOCHS = 8  # of the fine-tuning
Floats = NDArray[np.float64]
Scores = dict[str, float]


def fine_tuned(data: TrainingData, fold: Fold, plan: Plan, folder: FoldFolder) -> tuple[Scores, str]:
    """Log-odds of the validation cases after fine-tuning a fold, and what became of it; `folder` is only read."""
    training = plan.training.model_copy(update={"fine_tuning_epochs": EPOCHS})
    tuned = plan.model_copy(update={"training": training})
    with tempfile.TemporaryDirectory() as name:
        copy = FoldFolder(Path(name))
        for stage in (*plan.sequences, "fusion"):
            link_or_copy(folder.sequence(stage), copy.sequence(stage))
        losses: list[float] = []
        run = FoldRun(data, fold, tuned, copy, one_key(tuned, "benchmark"))
        fine_tune(run, lambda epoch: losses.append(epoch.inner_loss))
        kept = sha256_of_file(copy.fine_tuned.fusion) == sha256_of_file(copy.fusion)
        scores = score_fold(run, load_fold(copy.fine_tuned, tuned, data.pixels.device))
    unseen = {score.case: score.log_odds[FUSED] for score in scores if score.part == "validation"}
    ending = "the two stages stand" if kept else "fine-tuned"
    return unseen, f"{ending}; inner loss by epoch {', '.join(f'{loss:.4f}' for loss in losses)}"


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
        device, guided = torch.device("cpu"), plan.network.roi_guided
        data = load_training_data(session.training, workspace.sample, device, roi_guided=guided)
        tuned: Scores = {}
        for fold in splits.folds:
            scores, ending = fine_tuned(data, fold, plan, workspace.fold(fold.index))
            print(f"fold {fold.index}: {ending}", flush=True)
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
