"""Several lesions of a patient: is a score a lesion worth it, and how are they brought together?

    python benchmarks/lesions.py OUT [--shows same plain] [--seeds 0 1 2]

Phantoms of whom `--share` have a second tumour. With "same" both tumours show what the patient's label is drawn from,
each with a nuisance of its own; with "plain" one of the two, either as often, shows next to nothing. Every cohort is
trained on twice, by preset demo: with the ROI as one tumour, of which planes show the largest part, and with a score a
lesion. From the folds of the latter come

    mean, largest, highest      of the log-odds of a patient's lesions, by the fold as it is; mean is what AutoDLS does
    attention                   their average by a softmax of a scalar, linear in the lesion's features, that is fitted
                                to the train part from equal weights on; the epoch is that of the inner hold-out
    bag mean, bag attention     transformers fitted anew on whole patients: logits of the lesions averaged with equal
                                weights, or with a softmax of a scalar that is learnt with them

AUC out of fold, and of external cases by the mean of the folds. Nothing chose anything that it is judged on.
"""

import argparse
import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

import autodls
from autodls.models.fold_files import load_fold
from autodls.models.network import FoldModel, class_logit
from autodls.models.recalibration import fit_scale
from autodls.phantom.cohort import PhantomSettings, write_cohort
from autodls.phantom.settings import SecondTumour
from autodls.preprocessing.stage import preprocess_cases
from autodls.records.case import Case
from autodls.records.plan import Plan
from autodls.records.scores import FUSED
from autodls.records.splits import Splits
from autodls.records.workspace import Workspace
from autodls.training.bags import Bags
from autodls.training.batches import random_batches
from autodls.training.data import TrainingData, centre_crop, load_training_data
from autodls.training.loss import FocalMeanLoss

Scores = NDArray[np.float64]
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Part:
    """Cases as lesions: where the lesions of each lie, and what the encoders of one fold make of them."""

    bags: Bags
    maps: Tensor
    present: Tensor
    labels: Tensor

    @property
    def case_of(self) -> Tensor:
        """The place of its case, int64 [lesion]."""
        return torch.arange(len(self.bags)) if self.bags.case_of is None else self.bags.case_of

    def only(self, cases: Tensor) -> "Part":
        """Some cases of it, by their places."""
        kept = torch.isin(self.case_of, cases)
        renamed = torch.full((len(self.bags),), -1).index_put((cases,), torch.arange(len(cases)))
        bags = Bags(self.bags.case_rows[cases], self.bags.rows[kept], renamed[self.case_of[kept]])
        return Part(bags, self.maps[kept], self.present[kept], self.labels[cases])


class BagFusion(nn.Module):
    """The fold's transformer, started anew, and over a patient's lesions a softmax of a scalar of each, or 1 / n."""

    def __init__(self, model: FoldModel, seed: int, *, attention: bool) -> None:
        super().__init__()
        chance = torch.Generator().manual_seed(seed)
        self.fusion = copy.deepcopy(model.fusion)
        for parameter in self.fusion.parameters():
            parameter.requires_grad_()
        self.fusion.start_from_random(chance)
        width = self.fusion.position.shape[1]
        self.scalar = nn.Sequential(nn.Linear(width, 16), nn.Tanh(), nn.Linear(16, 1)) if attention else None

    def forward(self, part: Part) -> Tensor:
        """Logits [case, class]."""
        hidden: list[Tensor] = []
        hook = self.fusion.decoder.register_forward_pre_hook(lambda _module, given: hidden.append(given[0]))
        logits = self.fusion(part.maps, part.present)
        hook.remove()
        of = part.case_of
        weight = logits.new_ones(len(logits), 1) if self.scalar is None else self.scalar(hidden[0]).clamp(-10, 10).exp()
        empty = logits.new_zeros(len(part.bags), 1)
        total = logits.new_zeros(len(part.bags), 2).index_add(0, of, logits * weight)
        return total / empty.index_add(0, of, weight)


def fit_bags(model: FoldModel, train: Part, inner: Part, plan: Plan, *, attention: bool) -> BagFusion:
    """Fitted on whole patients; the epoch with the lowest loss of the inner hold-out is kept."""
    made = BagFusion(model, plan.training.seed, attention=attention)
    settings = plan.training
    rate = settings.fusion_learning_rate
    optimizer = torch.optim.SGD(made.parameters(), rate, momentum=settings.momentum, nesterov=True, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.fusion_epochs)
    loss, best = FocalMeanLoss(settings.focal_gamma, settings.focal_alpha), (np.inf, made.state_dict())
    for epoch in range(settings.fusion_epochs):
        made.train()
        for batch in random_batches(torch.arange(len(train.bags)), settings.batch_size, epoch):
            part = train.only(batch)
            optimizer.zero_grad()
            loss(made(part), part.labels).backward()
            nn.utils.clip_grad_norm_(made.parameters(), 1.0)
            optimizer.step()
        schedule.step()
        made.eval()
        with torch.no_grad():
            found = float(loss(made(inner), inner.labels))
        if found < best[0]:
            best = found, {name: value.clone() for name, value in made.state_dict().items()}
    made.load_state_dict(best[1])
    return made.eval()


def fit_attention(
    train: tuple[Part, Scores], inner: tuple[Part, Scores], plan: Plan
) -> Callable[[Part, Scores], Scores]:
    """The average of a fold's log-odds by a softmax over lesions, from equal weights on; log-odds [case]."""
    scalar = nn.Linear(_features(train[0]).shape[1], 1, bias=False)
    nn.init.zeros_(scalar.weight)
    centre, spread = _features(train[0]).mean(dim=0), _features(train[0]).std(dim=0) + 1e-6
    settings = plan.training
    loss = FocalMeanLoss(settings.focal_gamma, settings.focal_alpha)

    def average(part: Part, fused: Scores) -> Tensor:
        weight = scalar((_features(part) - centre) / spread).clamp(-10, 10).exp()[:, 0]
        empty = weight.new_zeros(len(part.bags))
        total = empty.index_add(0, part.case_of, weight * torch.from_numpy(fused).float())
        return total / empty.index_add(0, part.case_of, weight)

    def lost(part: Part, fused: Scores) -> Tensor:
        margin = average(part, fused)
        return loss(torch.stack([torch.zeros_like(margin), margin], dim=1), part.labels)

    optimizer = torch.optim.AdamW(scalar.parameters(), 0.01, weight_decay=0.1)
    best, kept = float(lost(*inner).detach()), scalar.weight.detach().clone()
    for _ in range(100):
        optimizer.zero_grad()
        lost(*train).backward()
        optimizer.step()
        if (found := float(lost(*inner).detach())) < best:
            best, kept = found, scalar.weight.detach().clone()
    with torch.no_grad():
        scalar.weight.copy_(kept)
    return lambda part, fused: average(part, fused).detach().double().numpy()


def _features(part: Part) -> Tensor:
    return (part.maps * part.present[:, :, None, None, None]).mean(dim=(3, 4)).flatten(1)


def pooled(values: Scores, part: Part, how: Callable[[Scores], float]) -> Scores:
    """One number a case, of those of its lesions."""
    of = part.case_of.numpy()
    return np.array([how(values[of == case]) for case in range(len(part.bags))])


POOLS: dict[str, Callable[[Scores], float]] = {
    "mean": lambda values: float(values.mean()),
    "largest": lambda values: float(values[0]),
    "highest": lambda values: float(values.max()),
}


def fold_scores(
    model: FoldModel, plan: Plan, parts: dict[str, tuple[TrainingData, list[str]]]
) -> dict[str, dict[str, Scores]]:
    """Log-odds [case] by way and part; each way is scaled by the inner hold-out, as a fold is."""
    seen = {name: _part(model, plan, *part) for name, part in parts.items()}
    if plan.preprocessing.lesions is None:
        return {"whole": {name: fused for name, (_, fused) in seen.items()}}
    raw: dict[str, dict[str, Scores]] = {}
    for way, how in POOLS.items():
        raw[way] = {name: pooled(fused, part, how) for name, (part, fused) in seen.items()}
    average = fit_attention(seen["train"], seen["inner"], plan)
    raw["attention"] = {name: average(*part) for name, part in seen.items()}
    for way in ("bag mean", "bag attention"):
        made = fit_bags(model, seen["train"][0], seen["inner"][0], plan, attention=way == "bag attention")
        with torch.no_grad():
            raw[way] = {name: class_logit(made(part)).double().numpy() for name, (part, _) in seen.items()}
    labels = seen["inner"][0].labels.numpy() == 1
    return {
        way: {name: fit_scale(values["inner"], labels).log_odds(values[name]) for name in values}
        for way, values in raw.items()
    }


def _part(model: FoldModel, plan: Plan, data: TrainingData, cases: list[str]) -> tuple[Part, Scores]:
    """What the fold makes of the lesions of `cases`, and its fused log-odds of each."""
    bags = data.bags(cases)
    pixels, present = centre_crop(data.pixels[bags.rows], plan.preprocessing.input_size_px), data.present[bags.rows]
    seen = [model.encode_planes(name, pixels[:, index], 16) for index, name in enumerate(model.encoders)]
    fused = model.fuse(seen, present, 16).fused.double().numpy()
    maps = torch.stack([one.maps for one in seen], dim=1).clone()
    return Part(bags, maps, present, data.labels[bags.case_rows]), model.scales[FUSED].log_odds(fused)


def by_lesion(workspace: Workspace, plan: Plan, training: TrainingData, external: TrainingData) -> dict[str, float]:
    """AUC out of fold and external of every way to bring lesions together."""
    splits = Splits.load(workspace.splits, "")
    out_of_fold: dict[str, dict[str, float]] = {}
    outside: dict[str, list[Scores]] = {}
    for fold in splits.folds:
        model = load_fold(workspace.fold(fold.index).trained(plan.training.fine_tuning_epochs), plan, CPU)
        parts = {name: (training, list(getattr(fold, name))) for name in ("train", "inner", "validation")}
        parts["external"] = (external, list(external.cases))
        for way, scores in fold_scores(model, plan, parts).items():
            out_of_fold.setdefault(way, {}).update(zip(fold.validation, scores["validation"].tolist(), strict=True))
            outside.setdefault(way, []).append(scores["external"])
    known, others = (_labels(data) for data in (training, external))
    aucs = {}
    for way, found in out_of_fold.items():
        aucs[f"{way}, out of fold"] = roc_auc_score(known, [found[case] for case in training.cases])
        aucs[f"{way}, external"] = roc_auc_score(others, np.mean(outside[way], axis=0))
    return aucs


def _labels(data: TrainingData) -> NDArray[np.bool_]:
    return data.labels[: len(data.cases)].numpy() == 1


def cohort(folder: Path, settings: PhantomSettings, *, lesions: bool) -> Path:
    """The phantoms, in a folder that is read with or without a score a lesion."""
    write_cohort(folder, settings)
    if lesions:
        return folder
    other = folder.with_name(f"{folder.name}_whole")
    other.mkdir(exist_ok=True)
    for name in ("imagesTr", "labelsTr", "clinical.csv"):
        if not (other / name).exists():
            (other / name).symlink_to(folder.resolve() / name)
    description = json.loads((folder / "dataset.json").read_text())
    del description["autodls"]["lesions"]
    (other / "dataset.json").write_text(json.dumps(description))
    return other


def run(out: Path, shows: SecondTumour, seed: int, options: argparse.Namespace) -> dict[str, float]:
    """All AUCs of one cohort."""
    settings = PhantomSettings(
        cases=options.cases, external_cases=options.external, seed=seed, matrix_factor=0.6,
        second_share=options.share, second_shows=shows,
    )  # fmt: skip
    folder = out / f"{shows}_{seed}"
    aucs: dict[str, float] = {}
    for name, lesions in (("one", False), ("lesions", True)):
        study = autodls.Study(cohort(folder, settings, lesions=lesions), workspace=out / f"{shows}_{seed}_{name}")
        if not study.workspace.model.record.exists():
            study.plan("demo", device="cpu")
            study.train()
        known, plan = study.cohort, study.plan_record
        sample = partial(_held, out / f"{shows}_{seed}_{name}_held")
        training = _data(known.training, study.workspace.sample, plan)
        aucs |= by_lesion(study.workspace, plan, training, _data(known.held_out["external"], sample, plan))
    return aucs


def _held(folder: Path, case: str) -> Path:
    return folder / f"{case}.safetensors"


def _data(cases: tuple[Case, ...], place: Callable[[str], Path], plan: Plan) -> TrainingData:
    preprocess_cases(cases, frozenset({1}), plan, place, 1, lambda _case: None)
    return load_training_data(cases, place, CPU, roi_guided=plan.network.roi_guided)


def main() -> None:
    """Every cohort, and the mean over seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--shows", nargs="+", default=["same", "plain"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--cases", type=int, default=60)
    parser.add_argument("--external", type=int, default=120)
    parser.add_argument("--share", type=float, default=0.7)
    options = parser.parse_args()
    for shows in options.shows:
        found = []
        for seed in options.seeds:
            found.append(run(options.out, shows, seed, options))
            print(shows, seed, json.dumps({name: round(auc, 3) for name, auc in found[-1].items()}), flush=True)
        for name in found[0]:
            print(f"{shows:6} {name:28} {np.mean([one[name] for one in found]):.3f}")


if __name__ == "__main__":
    main()
