"""What ImageNet weights give: an encoder frozen, fitted on, and the same network from random weights.

    python benchmarks/transfer.py OUT --seeds 0 1 2 [--dataset FOLDER] [--arms frozen fitted random] [--cases 72]

Without a dataset every seed is a phantom cohort; with one it is the plan's seed, and so the split. All arms of a seed
have the same splits, input size, epochs, optimizer and augmentation, and none takes the ROI as input. Out-of-fold AUC
of the fused score and of each sequence; nothing is chosen on it.
"""

import argparse
import json
import time
from pathlib import Path

from autodls import Study
from autodls.evaluation.score_aucs import out_of_fold_aucs
from autodls.phantom.cohort import PhantomSettings, write_cohort
from autodls.records.workspace import Workspace

ARMS: dict[str, dict[str, object]] = {
    "frozen": {"network.encoder_weights": "imagenet", "network.encoder_frozen": True},
    "fitted": {"network.encoder_weights": "imagenet"},
    "random": {"network.encoder_weights": "random", "network.roi_guided": False},
}
SAME = {
    "preprocessing.input_size_px": 64,
    "training.epochs": 20,
    "training.fusion_epochs": 30,
    "training.optimizer": "sgd",
    "training.augmentation": "paper",
    "training.kept_epoch": "best",
}


def main() -> None:
    """Run every arm of every seed; a line each, which is also put into OUT/transfer.jsonl."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--encoder", default="efficientnet_lite0")
    parser.add_argument("--dataset", type=Path)
    parser.add_argument("--cases", type=int, default=72)
    asked = parser.parse_args()
    for seed in asked.seeds:
        dataset = asked.dataset or asked.out / f"phantom_{seed}"
        if asked.dataset is None:
            write_cohort(dataset, PhantomSettings(cases=asked.cases, external_cases=0, seed=seed), workers=2)
        for arm in asked.arms:
            found = {"seed": seed, "arm": arm, "encoder": asked.encoder, **measured(asked, dataset, seed, arm)}
            line = json.dumps(found)
            print(line, flush=True)
            with (asked.out / "transfer.jsonl").open("a") as lines:
                lines.write(line + "\n")


def measured(asked: argparse.Namespace, dataset: Path, seed: int, arm: str) -> dict[str, object]:
    """Out-of-fold AUCs with their intervals, and seconds of training, preprocessing included."""
    place = asked.out / f"{arm}_{seed}"
    preset = asked.out / f"{arm}_{seed}.json"
    given = {**SAME, **ARMS[arm], "network.encoder": asked.encoder, "training.seed": seed}
    preset.write_text(json.dumps({"name": arm, "given": given}))
    study = Study(dataset, place)
    plan = study.plan(preset, device="cpu", workers=2).plan
    started = time.monotonic()
    study.train(workers=2)
    seconds = time.monotonic() - started
    rows = out_of_fold_aucs(Workspace(place).oof_scores, plan.sequences, None)
    return {"auc": {row.row: row.text for row in rows}, "seconds": round(seconds)}


if __name__ == "__main__":
    main()
