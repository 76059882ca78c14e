"""A whole cross-validation: ours beside the usual loop (DataLoader, MONAI transforms, autocast), on a GPU or a CPU.

    python benchmarks/cross_validation.py [--cases 382] [--folds 5] [--epochs 50] [--px 224] [--rounds 1] [--at-once N]

Both fit a ResNet-101 to each of three sequences in each fold, with the same kind of start, size of batches, loss, rate
and number of steps, on made-up samples whose positive cases are brighter; ours goes on to the fusion and the scores,
which the loop leaves out. Both must learn it: the mean loss of the networks over their own training cases ends below
that of a guess. One fold with one epoch warms either up. On a machine without a GPU give a small size, such as
--cases 36 --folds 2 --epochs 10 --px 64; where time is short, few epochs: only a step is repeated.
"""

import math
import shutil
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from side_by_side import OURS, in_process, interleaved, machine, show

from autodls.models.encoder import SequenceEncoder
from autodls.models.network import has_bf16
from autodls.planning.memory import cohort_gib
from autodls.planning.splits import make_splits
from autodls.preprocessing.planes import PLANES, Plane
from autodls.preprocessing.store import Sample, save_sample
from autodls.records.case import Case
from autodls.records.plan import FusionPlan, NetworkPlan, Plan
from autodls.records.splits import Fold, Splits
from autodls.records.tensors import load_tensors
from autodls.records.workspace import Workspace
from autodls.training.cohort import networks_at_once, train_folds
from autodls.training.data import TrainingData, centre_crop, load_training_data
from autodls.training.loss import FocalMeanLoss

SEQUENCES = ("T1WI", "T2WI", "CE-T1WI")
RATE_OF_A_CASE, BATCH = 0.01 / 32, 32  # the paper's, and in proportion for smaller batches
LOOP = "DataLoader, MONAI, autocast"
GUESS = math.log(2) / 4  # the focal loss with gamma 2 of a score of one half


def make_plan(asked: Namespace, device: str) -> Plan:
    """The settings that both follow; early stopping is off, so that both take the same steps."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from tiny_models import tiny_plan

    batch = min(BATCH, asked.cases // 4)
    plan = tiny_plan(SEQUENCES, input_size_px=asked.px, slice_size_px=round(asked.px * 8 / 7))
    fusion = FusionPlan(patch_px=1, heads=8, layers=3, dropout=0.1)
    network = NetworkPlan(encoder="resnet101", encoder_weights="random", pca_dims=128, fusion=fusion)
    precision = "bf16" if has_bf16(torch.device(device)) else "fp32"
    training = plan.training.model_copy(
        update={
            "folds": asked.folds, "batch_size": batch, "epochs": asked.epochs,
            "patience": asked.epochs, "fusion_epochs": 60, "learning_rate": RATE_OF_A_CASE * batch,
            "precision": precision, "batch_norm_momentum": 0.3, "inner_holdout": 0.2,
        }
    )  # fmt: skip
    gib = torch.cuda.mem_get_info()[1] / 2**30 if device == "cuda" else 16.0
    budget = plan.budget.model_copy(update={"device": device, "memory_gib": gib})
    return plan.model_copy(update={"network": network, "training": training, "budget": budget})


def with_epochs(plan: Plan, epochs: int) -> Plan:
    """The same with fewer epochs of encoders and fusion."""
    shorter = {"epochs": epochs, "patience": epochs, "fusion_epochs": epochs}
    return plan.model_copy(update={"training": plan.training.model_copy(update=shorter)})


def make_samples(workspace: Workspace, plan: Plan, count: int) -> tuple[Case, ...]:
    """Noise with a disk in the middle, brighter in every third case."""
    side = plan.preprocessing.slice_size_px
    planes = tuple(Plane(name, 0, (0, 0, 0), (0, 1, 0), (1, 0, 0), (side, side), 1.0) for name in PLANES)
    rows, columns = np.indices((side, side)) - (side - 1) / 2
    disk = np.hypot(rows, columns) < side / 6
    roi = np.broadcast_to(disk, (len(PLANES), side, side))
    cases = []
    for number in range(count):
        name, label = f"case_{number:04d}", number % 3 == 0
        chance = np.random.default_rng(number)
        pixels = chance.standard_normal((len(SEQUENCES), len(PLANES), side, side), dtype=np.float32)
        pixels += np.float32(2.0 if label else 0.5) * disk
        save_sample(workspace.sample(name), Sample(name, pixels, np.ones(3, dtype=np.bool_), roi, planes, (), name))
        cases.append(Case(name, name, None, "", label, {}, None))
    return tuple(cases)


def by_autodls(workspace: Workspace, cases: tuple[Case, ...], plan: Plan, splits: Splits, at_once: int | None) -> None:
    """Every fold, to its scores."""
    shutil.rmtree(workspace.root / "folds", ignore_errors=True)
    train_folds(workspace, cases, plan, splits, range(len(splits.folds)), lambda _fold, _epoch: None, at_once)


class UsualLoop:
    """What one would write with MONAI: samples in the host's memory, transforms case by case, a step at a time."""

    def __init__(self, data: TrainingData, plan: Plan, splits: Splits, workers: int) -> None:
        self.data, self.plan, self.splits, self.workers = data, plan, splits, workers
        self.device = torch.device(plan.budget.device)
        self.trained: dict[tuple[int, str], dict[str, torch.Tensor]] = {}

    def __call__(self) -> None:
        """Fit a network to every sequence of every fold."""
        for fold in self.splits.folds:
            for index, sequence in enumerate(self.plan.sequences):
                model = fresh(self.plan).to(self.device)
                for _ in self._fit(model, fold, index):
                    pass
                self.trained[fold.index, sequence] = {k: v.cpu() for k, v in model.net.state_dict().items()}

    def _fit(self, model: SequenceEncoder, fold: Fold, index: int) -> Iterator[float]:
        from monai.data import DataLoader, Dataset
        from monai.transforms import Compose, RandFlipd, RandSpatialCropd

        size, training = self.plan.preprocessing.input_size_px, self.plan.training
        crop = RandSpatialCropd("image", (size, size), random_size=False)
        transform = Compose([RandFlipd("image", prob=0.5, spatial_axis=1), crop])
        rows = self.data.rows(fold.train).tolist()
        items = [{"image": self.data.pixels[row, index], "label": int(self.data.labels[row])} for row in rows]
        loader = DataLoader(
            Dataset(items, transform), num_workers=self.workers, batch_size=training.batch_size, shuffle=True,
            persistent_workers=self.workers > 0, drop_last=len(items) % training.batch_size == 1,
        )  # fmt: skip
        inner = centre_crop(self.data.pixels[self.data.rows(fold.inner), index], size)
        optimizer = torch.optim.SGD(
            model.parameters(), training.learning_rate, momentum=0.9, weight_decay=1e-4, nesterov=True
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, training.epochs)
        loss, bf16 = FocalMeanLoss(2.0, 0.5), training.precision == "bf16"
        for _ in range(training.epochs):
            model.train()
            for batch in loader:
                optimizer.zero_grad()
                with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
                    logits = model(batch["image"].as_tensor().to(self.device))
                value = loss(logits.float(), batch["label"].to(self.device))
                value.backward()
                optimizer.step()
                yield value.item()
            schedule.step()
            model.eval()
            with torch.no_grad(), torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
                for part in torch.split(inner, training.batch_size):
                    model(part.to(self.device))


def fresh(plan: Plan) -> SequenceEncoder:
    """A network with the weights that all start from."""
    model = SequenceEncoder(plan.network.encoder, plan.training.encoder_dropout, plan.training.batch_norm_momentum)
    model.start_from_random(torch.Generator().manual_seed(0))
    return model


def mean_loss(
    states: dict[tuple[int, str], dict[str, torch.Tensor]], data: TrainingData, plan: Plan, splits: Splits
) -> float:
    """The mean focal loss of all networks, each over the cases that it was fitted to."""
    loss, found = FocalMeanLoss(2.0, 0.5), []
    model = SequenceEncoder(plan.network.encoder, 0.0, 0.1).eval().to(data.pixels.device)
    for (fold, sequence), state in states.items():
        model.net.load_state_dict(state)
        rows = data.rows(splits.folds[fold].train)
        pixels = data.pixels[rows, SEQUENCES.index(sequence)]
        with torch.no_grad():
            logits = torch.cat([model(part) for part in torch.split(pixels, BATCH)])
        found.append(float(loss(logits, data.labels[rows])))
    return sum(found) / len(found)


def main() -> None:
    """Print the table; raises ValueError where one of them has not learnt."""
    parser = ArgumentParser(description=__doc__)
    sizes = (("--cases", 382), ("--folds", 5), ("--epochs", 50), ("--px", 224), ("--rounds", 1), ("--workers", 8))
    for name, default in sizes:
        parser.add_argument(name, type=int, default=default)
    parser.add_argument(
        "--at-once", type=int, help="networks on a GPU, or folds on a CPU; by default what autodls takes"
    )
    asked = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    card = torch.cuda.get_device_name() if device == "cuda" else "no GPU"
    plan = make_plan(asked, device)
    at_once = asked.at_once or networks_at_once(plan, cohort_gib(asked.cases, 3, plan.preprocessing.slice_size_px))
    print(f"{machine()}, {card}, {plan.training.precision}, {at_once} at once")
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        cases = make_samples(workspace, plan, asked.cases)
        splits = make_splits(cases, asked.folds, plan.training.inner_holdout, 0)
        host = load_training_data(cases, workspace.sample, torch.device("cpu"))
        workers = asked.workers if device == "cuda" else 0
        usual = UsualLoop(host, plan, splits, workers)
        runs = {
            OURS: in_process(lambda: by_autodls(workspace, cases, plan, splits, asked.at_once)),
            LOOP: in_process(usual),
        }
        once, one_fold = with_epochs(plan, 1), splits.model_copy(update={"folds": splits.folds[:1]})
        by_autodls(workspace, cases, once, one_fold, asked.at_once)
        UsualLoop(host, once, one_fold, workers)()
        usages = interleaved(runs, asked.rounds, warm_up_rounds=0)
        mine = {
            (fold.index, name): load_tensors(workspace.fold(fold.index).sequence(name), "")[0]
            for fold in splits.folds
            for name in plan.sequences
        }
        losses = {OURS: mean_loss(mine, host, plan, splits), LOOP: mean_loss(usual.trained, host, plan, splits)}
        notes = {name: f"mean loss {loss:.3f}" for name, loss in losses.items()}
        show(f"{asked.cases} cases, {asked.folds} folds, {asked.epochs} epochs, {asked.px} px", usages, notes)
    for name, loss in losses.items():
        if not loss < GUESS:
            raise ValueError(f"{name}: the networks' mean loss is {loss:.3f}, that of a guess {GUESS:.3f}")


if __name__ == "__main__":
    main()
