"""The planner's prediction of peak memory against that of real training processes, stage by stage.

    python benchmarks/memory_model.py [--batch 4 16 64] [--px 96 128 224 256] [--cases 80] [--most-gib 15]

Every point is a process that trains an encoder for two epochs of one batch and then a fusion, as `autodls train` does.
Points that are predicted to need more than --most-gib are skipped, and said to be.
"""

import json
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from pathlib import Path

from autodls.planning.memory import TrainingLoad, cohort_gib, encoder_parts_gib, fusion_parts_gib

GIB = 2**30
SEQUENCES = ("T1WI", "T2WI", "CE-T1WI")
TOLERANCE = 0.15


def peak_gib() -> float:
    """The highest memory of this process so far: on Linux ru_maxrss would start at that of its parent."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / GIB


def train(batch: int, px: int, cases: int) -> None:
    """Print the peak memory after each stage."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    import torch
    from tiny_models import tiny_plan

    from autodls.records.model_folders import FoldFolder
    from autodls.records.plan import FusionPlan, NetworkPlan
    from autodls.records.splits import Fold
    from autodls.training.data import FoldRun, TrainingData
    from autodls.training.fusion_stage import train_fusion
    from autodls.training.keys import one_key
    from autodls.training.sequence_stage import train_sequences

    fusion = FusionPlan(patch_px=1, heads=8, layers=3, dropout=0.1)
    network = NetworkPlan(encoder="resnet101", encoder_weights="random", pca_dims=128, fusion=fusion)
    plan = tiny_plan(SEQUENCES, input_size_px=px, slice_size_px=round(px * 8 / 7))
    training = plan.training.model_copy(update={"batch_size": batch, "epochs": 2, "fusion_epochs": 1})
    plan = plan.model_copy(update={"network": network, "training": training})
    pixels = torch.empty(cases, 3, 3, plan.preprocessing.slice_size_px, plan.preprocessing.slice_size_px)
    for case in pixels:
        case.normal_()
    names = tuple(f"case{number:04d}" for number in range(cases))
    data = TrainingData(names, pixels, torch.ones(cases, 3, dtype=torch.bool), torch.arange(cases) % 2)
    with tempfile.TemporaryDirectory() as folder:
        few = Fold(index=0, train=names[:batch], inner=names[batch : batch + 2], validation=names[-2:])
        many = few.model_copy(update={"train": names[: -cases // 4], "inner": names[-cases // 4 : -2]})
        for sequence in SEQUENCES:
            run = FoldRun(data, few, plan, FoldFolder(Path(folder)), one_key(plan, "key"))
            train_sequences([(run, sequence, lambda _epoch: None)], at_once=1)
        sequence_gib = peak_gib()
        train_fusion(FoldRun(data, many, plan, FoldFolder(Path(folder)), one_key(plan, "key")), lambda _epoch: None)
        print(json.dumps([sequence_gib, peak_gib()]))


def measure(batch: int, px: int, cases: int) -> list[float]:
    """Peak memory in GiB after the encoders, and after the fusion."""
    command = [sys.executable, __file__, "train", str(batch), str(px), str(cases)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Print the table; ends in an error where a prediction is off by more than the tolerance."""
    if sys.argv[1:2] == ["train"]:
        train(*map(int, sys.argv[2:]))
        return
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, nargs="+", default=[4, 16, 64])
    parser.add_argument("--px", type=int, nargs="+", default=[96, 128, 224, 256])
    parser.add_argument("--cases", type=int, default=80)
    parser.add_argument("--most-gib", type=float, default=15.0)
    asked = parser.parse_args()
    print(f"{asked.cases} cases\n{'batch':>6}{'px':>6}{'':>10}{'measured GiB':>14}{'predicted GiB':>15}{'ratio':>8}")
    worst = 0.0
    for px in asked.px:
        for batch in asked.batch:
            samples = cohort_gib(asked.cases, 3, round(px * 8 / 7))
            load = TrainingLoad("resnet101", px, batch, "fp32", "cpu", samples, asked.cases * 3 // 4, 3)
            parts = {"encoders": encoder_parts_gib(load), "fusion": fusion_parts_gib(load)}
            predicted = {stage: sum(sizes.values()) for stage, sizes in parts.items()}
            if max(predicted.values()) > asked.most_gib:
                print(f"{batch:>6}{px:>6}   skipped: {max(predicted.values()):.1f} GiB predicted")
                continue
            encoders, whole = measure(batch, px, asked.cases)
            for stage, found, wanted in (
                ("encoders", encoders, predicted["encoders"]),
                ("whole", whole, max(predicted.values())),
            ):
                worst = max(worst, abs(wanted / found - 1))
                print(f"{batch:>6}{px:>6}{stage:>10}{found:>14.2f}{wanted:>15.2f}{wanted / found:>8.2f}", flush=True)
    if worst > TOLERANCE:
        raise SystemExit(f"a prediction is off by {worst:.0%}, more than {TOLERANCE:.0%}")


if __name__ == "__main__":
    main()
