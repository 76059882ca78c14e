"""What a self-supervised start on a cohort's own slices gives, beside random weights and the same network.

    python benchmarks/self_supervised.py OUT --seeds 31 32 33 [--encoder resnet8] [--cases 72]

Every fold has a start of its own: an encoder that learns, of the train part's pictures of all sequences and without a
label, which two views (crop, flip, brightness, contrast, noise) are of one picture (SimCLR: Chen et al. 2020). No
picture of an early-stopping or test case is seen. Both arms have the same splits, epochs, optimizer and augmentation,
and take no ROI as input, as weights that were made elsewhere cannot. Out-of-fold AUC of the fused score; the scores of
each fold are centred and scaled by its early-stopping set.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from autodls import Study
from autodls.evaluation.delong import auc_with_ci
from autodls.models.encoder import SequenceEncoder
from autodls.phantom.cohort import PhantomSettings, write_cohort
from autodls.preprocessing.store import load_sample
from autodls.records.plan import Plan
from autodls.records.scores import FUSED, load_fold_scores
from autodls.records.splits import Fold, Splits
from autodls.records.workspace import Workspace
from autodls.training.augmentation import augment_paper

SAME = {
    "preprocessing.input_size_px": 64,
    "network.roi_guided": False,
    "training.epochs": 20,
    "training.fusion_epochs": 30,
}
EPOCHS, BATCH, RATE, TEMPERATURE = 60, 64, 1e-3, 0.2
PROJECTED = 32


def main() -> None:
    """A line a seed and arm, which is also put into OUT/self_supervised.jsonl."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--encoder", default="resnet8")
    parser.add_argument("--cases", type=int, default=72)
    asked = parser.parse_args()
    for seed in asked.seeds:
        dataset = asked.out / f"phantom_{seed}"
        write_cohort(dataset, PhantomSettings(cases=asked.cases, external_cases=0, seed=seed), workers=2)
        plain = asked.out / f"random_{seed}"
        _study(dataset, plain, asked.encoder, "random").train(workers=2)
        places = {"random": lambda _fold, place=plain: place, "self-supervised": _started(asked, dataset, plain, seed)}
        for arm, place_of in places.items():
            began = time.monotonic()
            found = {"seed": seed, "arm": arm, "auc": _judged(Workspace(plain), place_of)}
            line = json.dumps({**found, "seconds": round(time.monotonic() - began)})
            print(line, flush=True)
            with (asked.out / "self_supervised.jsonl").open("a") as lines:
                lines.write(line + "\n")


def _study(dataset: Path, place: Path, encoder: str, weights: str) -> Study:
    preset = place.with_suffix(".json")
    given = {**SAME, "network.encoder": encoder, "network.encoder_weights": weights}
    preset.write_text(json.dumps({"name": "start", "given": given}))
    study = Study(dataset, place)
    study.plan(preset, device="cpu", workers=2)
    return study


def _started(asked, dataset, plain, seed):
    """Trains fold by fold, each from weights of its own train part; gives the workspace of each."""

    def place_of(fold: Fold) -> Path:
        plan = Plan.load(Workspace(plain).plan, "")
        weights = asked.out / f"start_{seed}_{fold.index}.safetensors"
        encoder = pretrained(pictures_of(Workspace(plain), fold), plan, seed + fold.index)
        kept = {name: value.contiguous() for name, value in encoder.net.state_dict().items() if name[:3] != "fc."}
        save_file(kept, weights)
        place = asked.out / f"started_{seed}_{fold.index}"
        _study(dataset, place, asked.encoder, str(weights)).train(fold.index, workers=2)
        return place

    return place_of


def pictures_of(workspace: Workspace, fold: Fold) -> Tensor:
    """Pictures [case and sequence, plane, H, W] of the train part, of all sequences that are there."""
    samples = [load_sample(workspace.sample(case)) for case in fold.train]
    return torch.from_numpy(np.concatenate([sample.pixels[sample.present] for sample in samples]))


def pretrained(pictures: Tensor, plan: Plan, seed: int) -> SequenceEncoder:
    """An encoder that tells views of one picture from views of the others."""
    torch.manual_seed(seed)
    encoder = SequenceEncoder(plan.network.encoder, 0.0, plan.training.batch_norm_momentum)
    encoder.start_from_random(torch.Generator().manual_seed(seed))
    head = nn.Sequential(nn.Linear(encoder.pooled, encoder.pooled), nn.ReLU(), nn.Linear(encoder.pooled, PROJECTED))
    optimizer = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], lr=RATE, weight_decay=1e-4)
    steps = EPOCHS * max(1, len(pictures) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    encoder.train()
    for step in range(steps):
        rows = torch.randperm(len(pictures))[:BATCH]
        views = [view(pictures[rows], plan.preprocessing.input_size_px, 2 * step + side) for side in (0, 1)]
        placed = functional.normalize(head(encoder.features(torch.cat(views)).mean(dim=(2, 3))), dim=1)
        optimizer.zero_grad()
        told_apart(placed).backward()
        optimizer.step()
        schedule.step()
    return encoder.eval()


def view(pictures: Tensor, size_px: int, seed: int) -> Tensor:
    """Views [case, plane, size, size]: crop and flip, then brightness, contrast and noise of each picture."""
    cropped, _ = augment_paper(pictures, pictures[:, :0], size_px, seed)
    one = torch.Size((len(cropped), 1, 1, 1))
    contrast, brightness = 1 + 0.4 * (torch.rand(one) - 0.5), 0.4 * (torch.rand(one) - 0.5)
    return cropped * contrast + brightness + 0.1 * torch.rand(one) * torch.randn_like(cropped)


def told_apart(placed: Tensor) -> Tensor:
    """NT-Xent of unit vectors [2 case, dim]: the first half are views of the same pictures as the second."""
    likeness = placed @ placed.T / TEMPERATURE
    likeness.fill_diagonal_(-torch.inf)
    count = len(placed) // 2
    partner = torch.cat([torch.arange(count, 2 * count), torch.arange(count)])
    return functional.cross_entropy(likeness, partner)


def _judged(base: Workspace, place_of) -> str:
    """AUC with its interval, out of fold."""
    plan, splits = Plan.load(base.plan, ""), Splits.load(base.splits, "")
    labels, scores = [], []
    for fold in splits.folds:
        known = load_fold_scores(Workspace(place_of(fold)).fold(fold.index), plan.sequences)
        inner = np.array([one.log_odds[FUSED] for one in known if one.part == "inner"])
        held = [one for one in known if one.part == "validation"]
        labels += [one.label for one in held]
        scores += [(one.log_odds[FUSED] - inner.mean()) / (inner.std(ddof=1) or 1.0) for one in held]
    found = auc_with_ci(np.array(labels, dtype=bool), np.array(scores), out_of_fold=True)
    return f"{found.value:.3f} ({found.low:.3f}-{found.high:.3f})"


if __name__ == "__main__":
    main()
