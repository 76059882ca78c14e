"""The training cohort as tensors. Once it is 2.5D it is small, so all of it stays on the device."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from autodls.errors import ArgumentError, StaleRecordError
from autodls.preprocessing.store import load_sample
from autodls.records.case import Case
from autodls.records.model_folders import FoldFolder
from autodls.records.plan import Plan
from autodls.records.splits import Fold
from autodls.training.bags import Bags, bags_of
from autodls.training.keys import StageKeys


@dataclass(frozen=True)
class TrainingData:
    """Samples of labelled cases: one a case, in their order, and behind them those of further lesions.

    `pixels` float32 [sample, sequence, channel, H, W], as of `Sample.network_input`; `present` bool [sample, sequence];
    `labels` int64 [sample], 1 positive, that of the case; `patients` of the cases, where they are not patients of their
    own; `case_of` int64 [sample] the place of its case, None where no case has several lesions.
    """

    cases: tuple[str, ...]
    pixels: Tensor
    present: Tensor
    labels: Tensor
    patients: tuple[str, ...] = ()
    case_of: Tensor | None = None

    def bags(self, cases: Sequence[str], sequence: int | None = None) -> Bags:
        """All samples of `cases`, in their order; with a `sequence`, by its place, only those that have it."""
        has = None if sequence is None else self.present[:, sequence]
        return bags_of(self.rows(cases), self.case_of, has)

    def names(self, bags: Bags) -> list[str]:
        """The case of each sample of `bags`."""
        places = bags.rows if self.case_of is None else self.case_of[bags.rows]
        return [self.cases[place] for place in places.tolist()]

    def rows(self, cases: Sequence[str]) -> Tensor:
        """The row of the first sample of each of `cases`, in their order, on the device of the samples."""
        position = {case: row for row, case in enumerate(self.cases)}
        return torch.tensor([position[case] for case in cases], dtype=torch.long, device=self.pixels.device)


@dataclass(frozen=True)
class FoldRun:
    """Everything that training one fold needs; `keys` say of each stage what it is derived from, `start_sha256` is of
    the file, if one is named, that encoders start from, and `features` is the folder where those of encoders that are
    not trained are kept; None for nowhere.
    """

    data: TrainingData
    fold: Fold
    plan: Plan
    folder: FoldFolder
    keys: StageKeys
    start_sha256: str | None = None
    features: Path | None = None


def load_training_data(
    cases: Sequence[Case],
    path_of: Callable[[str], Path],
    device: torch.device,
    keys: Mapping[str, str] | None = None,
    *,
    roi_guided: bool = False,
) -> TrainingData:
    """Read the stored samples of `cases` and put them on `device`.

    Raises StaleRecordError for a sample that cannot be read, or whose key is not that of its case in `keys`: another
    process may have written it since it was prepared.
    """
    ordered = sorted(cases, key=lambda case: case.id)
    samples = [load_sample(path_of(case.id)) for case in ordered]
    for case, sample in zip(ordered, samples, strict=True):
        if keys is not None and sample.key != keys[case.id]:
            raise StaleRecordError(
                f"{path_of(case.id)}: made from another plan or other files since it was prepared "
                f"({sample.key[:8]}, expected {keys[case.id][:8]}); run the command again"
            )
    further = [(place, lesion) for place, sample in enumerate(samples) for lesion in sample.others]
    case_of = [*range(len(samples)), *(place for place, _ in further)]
    samples += [lesion for _, lesion in further]
    return TrainingData(
        tuple(case.id for case in ordered),
        torch.from_numpy(np.stack([sample.network_input(roi_guided=roi_guided) for sample in samples])).to(device),
        torch.from_numpy(np.stack([sample.present for sample in samples])).to(device),
        torch.tensor([int(bool(ordered[place].label)) for place in case_of], device=device),
        tuple(case.patient for case in ordered),
        torch.tensor(case_of, device=device) if further else None,
    )


def centre_crop(pixels: Tensor, size_px: int) -> Tensor:
    """The central `size_px` x `size_px` of the last two axes."""
    top, left = ((side - size_px) // 2 for side in pixels.shape[-2:])
    return pixels[..., top : top + size_px, left : left + size_px]


def training_device(plan: Plan) -> torch.device:
    """The device of the plan; raises ArgumentError when it is a GPU and there is none."""
    if plan.budget.device == "cuda" and not torch.cuda.is_available():
        raise ArgumentError(
            "plan.json: budget.device is cuda, but PyTorch sees no CUDA device here; run 'autodls plan --device cpu', "
            "or repair the driver"
        )
    return torch.device(plan.budget.device)
