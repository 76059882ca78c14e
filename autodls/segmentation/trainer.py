"""nnU-Net's trainer for one fold of our splits. Import it inside `environment.nnunet` only.

What differs from nnU-Net's own: the cases that a fold does not train on are never opened, not even for the progress
figure; chance comes from the plan's seed anew in every epoch, so that a run that was killed ends in the same weights;
checkpoints are renamed into place and read without unpickling anything but tensors and numbers.
"""

import io
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from batchgeneratorsv2.transforms.noise.gaussian_blur import GaussianBlurTransform
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels

from autodls import __version__
from autodls.errors import PlanError, TrainingError
from autodls.parallel import interrupts_held
from autodls.records.files import write_bytes
from autodls.records.segmentation import SegmentationEpoch
from autodls.records.splits import Splits
from autodls.seeding import stream_seed
from autodls.segmentation.prepared import PreparedCases, read_plans
from autodls.segmentation.run import SegmentationRun
from autodls.segmentation.weights import save_weights

CHECKPOINT = "checkpoint_latest.pth"
SAVES = 20  # in a whole training, where an epoch is short; nnU-Net saves every 50 epochs
NNUNET_SAVE_EVERY = 50
# The same step in the long run as nnU-Net's 0.01 at 0.99: learning rate / (1 - momentum) is 1 for both.
SHORT_LEARNING_RATE, SHORT_MOMENTUM = 0.1, 0.9
# Beside tensors, nnU-Net's checkpoints hold figures of its log as NumPy scalars.
CHECKPOINT_TYPES: list[Any] = [
    np.float64(0).__reduce__()[0],
    np.dtype,
    np.dtypes.Float64DType,
    np.dtypes.Float32DType,
    torch.device,
]

Report = Callable[[SegmentationEpoch], None]


def fold_cases(splits: Splits, index: int) -> tuple[list[str], list[str]]:
    """Cases that fold `index` trains on, and those that it never sees.

    Raises PlanError for an index past the end, of which nnU-Net would silently make a random split.
    """
    if not 0 <= index < len(splits.folds):
        raise PlanError(f"fold {index}: splits.json has folds 0 to {len(splits.folds) - 1}; name one of them")
    fold = splits.folds[index]
    return sorted([*fold.train, *fold.inner]), sorted(fold.validation)


class FoldTrainer(nnUNetTrainer):  # type: ignore[misc]
    """One fold; make it with `fold_trainer`, as nnU-Net's constructor can take no argument of ours."""

    run: SegmentationRun
    report: Report

    def initialize(self) -> None:
        """As nnU-Net's, without several GPUs and compilation, for our prepared cases."""
        self._set_batch_size_and_oversample()
        self.num_input_channels = determine_num_input_channels(
            self.plans_manager, self.configuration_manager, self.dataset_json
        )
        seed_everything(stream_seed(self.run.plan.training.seed, "segmentation", self.fold, "weights"))
        self.network = self.build_network_architecture(
            self.plans_manager,
            self.configuration_manager,
            self.num_input_channels,
            self.label_manager.num_segmentation_heads,
            self.enable_deep_supervision,
        ).to(self.device)
        self.optimizer, self.lr_scheduler = self.configure_optimizers()
        self.loss = self._build_loss()
        self.dataset_class = PreparedCases
        self.was_initialized = True

    def configure_optimizers(self) -> tuple[torch.optim.SGD, PolyLRScheduler]:
        """nnU-Net's, but for a schedule of a few hundred batches a momentum that looks back on ten, not a hundred."""
        optimizer, schedule = super().configure_optimizers()
        if self.run.plan.segmentation.planner == "small":
            optimizer.param_groups[0]["momentum"] = SHORT_MOMENTUM
            schedule = PolyLRScheduler(optimizer, SHORT_LEARNING_RATE, self.num_epochs)
        return optimizer, schedule

    def do_split(self) -> tuple[list[str], list[str]]:
        """Our splits."""
        return fold_cases(self.run.splits, self.fold)

    def get_tr_and_val_datasets(self) -> tuple[PreparedCases, PreparedCases]:
        """The training cases, twice: nnU-Net wants a second set, and that of the fold is not to be opened."""
        cases, _ = self.do_split()
        folder = str(self.run.workspace.segmentation.prepared)
        return PreparedCases(folder, list(cases)), PreparedCases(folder, list(cases))

    @staticmethod
    def get_training_transforms(*arguments: Any, **keywords: Any) -> ComposeTransforms:
        """nnU-Net's augmentation; its blur no longer measures which of two algorithms is the faster here today."""
        composed = nnUNetTrainer.get_training_transforms(*arguments, **keywords)
        for transform in composed.transforms:
            inner = getattr(transform, "transform", None)
            if isinstance(inner, GaussianBlurTransform):
                inner.benchmark = False
        return composed

    def run_training(self) -> None:
        """All epochs that are left."""
        self.open_cases()
        try:
            for _ in range(self.current_epoch, self.num_epochs):
                self._run_epoch()
        finally:
            self.close_cases()

    def open_cases(self) -> None:
        """Start augmentation, in this process or in others."""
        with interrupts_held():
            self.dataloader_train, self.dataloader_val = self.get_dataloaders()

    def close_cases(self) -> None:
        """End the processes of the augmentation, where there are any."""
        for loader in (self.dataloader_train, self.dataloader_val):
            finish = getattr(loader, "_finish", None)
            if finish is not None:
                finish()

    def _run_epoch(self) -> None:
        started, epoch = time.perf_counter(), self.current_epoch
        seed_everything(stream_seed(self.run.plan.training.seed, "segmentation", self.fold, epoch))
        self.on_train_epoch_start()
        steps = [self.train_step(next(self.dataloader_train)) for _ in range(self.num_iterations_per_epoch)]
        self.on_train_epoch_end(steps)
        loss = float(np.mean([step["loss"] for step in steps]))
        if not np.isfinite(loss):
            raise TrainingError(
                f"segmentation fold {self.fold}, epoch {epoch}: the loss is {loss}; look at the images, then run "
                f"'autodls segment fold all --restart'"
            )
        if (epoch + 1) % self.save_every == 0 and epoch + 1 < self.num_epochs:
            self.save_checkpoint(str(checkpoint_of(self.run, self.fold)))
        self.current_epoch += 1
        rate, seconds = float(self.optimizer.param_groups[0]["lr"]), round(time.perf_counter() - started, 3)
        self.report(
            SegmentationEpoch(fold=self.fold, epoch=epoch, learning_rate=rate, train_loss=loss, seconds=seconds)
        )

    def save_checkpoint(self, filename: str) -> None:
        """nnU-Net's checkpoint, never half-written; OSError where the disk is full, for which torch has no word."""
        content = io.BytesIO()
        super().save_checkpoint(content)
        write_bytes(Path(filename), content.getvalue())

    def resume(self) -> None:
        """Continue from the checkpoint of the same key, where there is one."""
        content = unfinished(self.run, self.fold)
        if not content:
            return
        self.network.load_state_dict(content["network_weights"])
        self.optimizer.load_state_dict(content["optimizer_state"])
        if self.grad_scaler is not None:
            self.grad_scaler.load_state_dict(content["grad_scaler_state"])
        self.logger.local_logger.load_checkpoint(content["logging"])
        self.current_epoch = content["current_epoch"]


def fold_trainer(run: SegmentationRun, index: int, report: Report) -> FoldTrainer:
    """The trainer of one fold with the plan's schedule and fresh weights."""
    fold_cases(run.splits, index)
    schedule = run.plan.segmentation
    plans, dataset = read_plans(run.workspace.segmentation.segmenter, schedule.configuration)
    trainer = FoldTrainer(
        plans=plans.plans | {"continue_training": False},
        configuration=schedule.configuration,
        fold=index,
        dataset_json=dataset,
        device=run.device,
    )
    trainer.run, trainer.report = run, report
    trainer.my_init_kwargs = {"configuration": schedule.configuration, "key": run.key}
    trainer.num_epochs, trainer.num_iterations_per_epoch = schedule.epochs, schedule.iterations_per_epoch
    trainer.save_every = min(NNUNET_SAVE_EVERY, max(1, schedule.epochs // SAVES))
    trainer.initialize()
    return trainer


def train_fold(run: SegmentationRun, index: int, report: Report) -> None:
    """Train one fold to its end, from where it stopped, and write its weights.

    Raises PlanError for a fold that is not there, and TrainingError for a checkpoint that is not nnU-Net's.
    """
    with own_chance():
        trainer = fold_trainer(run, index, report)
        trainer.resume()
        trainer.run_training()
    versions = {"autodls": __version__, **{name: version(name) for name in ("torch", "nnunetv2")}}
    note = {"key": run.key, "versions": versions}
    save_weights(run.workspace.segmentation.segmenter.fold(index), trainer.network, note)
    checkpoint_of(run, index).unlink(missing_ok=True)


def seconds_per_iteration(run: SegmentationRun, index: int, iterations: int = 2) -> float:
    """Measured on a network that is thrown away, augmentation included; the first batch is not counted."""
    with own_chance():
        trainer = fold_trainer(run, index, lambda _epoch: None)
        trainer.open_cases()
        try:
            trainer.network.train()
            trainer.train_step(next(trainer.dataloader_train))
            started = time.perf_counter()
            for _ in range(iterations):
                trainer.train_step(next(trainer.dataloader_train))
        finally:
            trainer.close_cases()
    return (time.perf_counter() - started) / iterations


def checkpoint_of(run: SegmentationRun, index: int) -> Path:
    """Where the state of an unfinished fold lies."""
    return run.workspace.segmentation.fold(index) / CHECKPOINT


def unfinished(run: SegmentationRun, index: int) -> dict[str, Any]:
    """The checkpoint from which fold `index` goes on; empty where there is none of this plan."""
    path = checkpoint_of(run, index)
    content = read_checkpoint(path) if path.exists() else {}
    return content if content.get("init_args", {}).get("key") == run.key else {}


def epochs_done(run: SegmentationRun, index: int) -> int:
    """Epochs of fold `index` that need not be trained again."""
    return int(unfinished(run, index).get("current_epoch", 0))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint of nnU-Net's, by the restricted unpickler; raises TrainingError for anything else."""
    try:
        with torch.serialization.safe_globals(CHECKPOINT_TYPES):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as failure:  # torch raises many kinds for what its restricted unpickler refuses
        raise TrainingError(
            f"{path}: refused, not a checkpoint of nnU-Net's ({type(failure).__name__}); remove it, or run 'autodls "
            f"segment fold all --restart'"
        ) from None
    if not isinstance(content, dict):
        raise TrainingError(f"{path}: holds a {type(content).__name__}, not a checkpoint of nnU-Net's; remove it")
    return content


def seed_everything(seed: int) -> None:
    """nnU-Net's augmentation draws from three global generators; see `own_chance`."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 (it is this one that nnU-Net draws from)
    torch.manual_seed(seed)


@contextmanager
def own_chance() -> Iterator[None]:
    """Leave the global generators as they were found."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])
