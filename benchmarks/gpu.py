"""All that is to be learnt of a machine with a GPU, by one command: right, fast, the same bytes, and what is learnt.

    python benchmarks/gpu.py [--minutes 8] [-o gpu.json] [--only PART ...] [--device cpu] [--small]

It needs the source folder, the libraries of the package, and no network. Parts run one after the other, the most
important first. One that fails is told in a line and does not stop the others; one that is estimated to take more than
the time that is left is left out, and named. Figures are in the JSON file as soon as they are known, so that a run that
is cut off loses none; a table follows at the end. Phantoms need SimpleITK, nnU-Net nnunetv2, and the peer of the
augmentation batchgenerators: what is not there is left out, and named. Without a GPU all is run at a small size, which
shows that it runs, and measures nothing.
"""

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
for place in (ROOT, Path(__file__).resolve().parent):  # also where the package is not installed, and in all processes
    sys.path.insert(0, str(place))
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])

from gpu_parts import Figures, Setting  # noqa: E402
from gpu_parts.worker import Worker  # noqa: E402

from autodls.records.files import write_text  # noqa: E402

_LONGEST_START_S = 300.0
_MOST_OVERRUN = 4.0  # times its estimate: one part that hangs is not to take the time of all


@dataclass(frozen=True)
class Part:
    """Something to learn: `run` is "module:function"; the estimates of its time, in seconds, are no measurements.

    `aims` says what a figure should be on a GPU.
    """

    title: str
    run: str
    seconds: float
    seconds_small: float
    aims: Mapping[str, str] = field(default_factory=dict)


PARTS = {
    "bf16": Part(
        "training in bfloat16 is right", "gpu_parts.right:bf16_training", 30, 15,
        {"bf16_fault": "none", "fp32_fault": "none"},
    ),
    "agreement": Part(
        "agreement with the CPU in float32", "gpu_parts.right:agreement", 25, 15,
        {"trained_logits_apart": "<= 0.02", "heat_maps_apart": "<= 0.0001"},
    ),
    "step": Part(
        "a training step of one network", "gpu_parts.steps:one_network", 25, 10, {"paper_captured_ms": "<= 15"}
    ),
    "several": Part(
        "several networks in one process", "gpu_parts.steps:several", 30, 10,
        {"3_networks_ms_a_step": "<= 12", "5_networks_ms_a_step": "<= 12"},
    ),
    "fixed": Part(
        "what a network costs beside its steps", "gpu_parts.whole:fixed_costs", 35, 15, {"fixed_s_a_network": "<= 0.5"}
    ),
    "augmentation": Part(
        "augmentation of a batch, 32 x 3 x 256 to 224 px", "gpu_parts.steps:augmentation", 10, 10,
        {"nnunet_whole_ms": "<= 3"},
    ),
    "memory": Part(
        "memory against its prediction", "gpu_parts.steps:memory", 25, 10,
        {"one_network_predicted_over_allocated": "0.85 to 1.15", "several_predicted_over_allocated": "0.85 to 1.15"},
    ),
    "same_bytes": Part(
        "the same bytes twice, and with other networks beside", "gpu_parts.right:same_bytes", 60, 25,
        {"paper_twice": "True", "paper_3_at_once": "True", "small_twice": "True", "small_3_at_once": "True"},
    ),
    "cross_validation": Part(
        "a whole cross-validation beside a DataLoader loop", "gpu_parts.whole:whole_cross_validation", 150, 25,
        {"autodls_s": "<= 120", "loop_over_autodls": ">= 4"},
    ),
    "scoring": Part("scoring of new cases", "gpu_parts.whole:scoring", 20, 10, {"alone_as_in_company": "True"}),
    "phantoms_auto": Part(
        "quality on phantoms, plan auto with random weights", "gpu_parts.phantoms:by_auto", 100, 40,
        {"oof_dls_auc": ">= 0.907", "oof_T1WI_auc": ">= 0.64", "evaluate_s": "<= 30"},
    ),
    "nnunet": Part("a small fold of nnU-Net", "gpu_parts.phantoms:nnunet_fold", 60, 45),
    "phantoms_paper": Part(
        "quality on phantoms, plan paper with random weights", "gpu_parts.phantoms:by_paper", 120, 40,
        {"evaluate_s": "<= 30"},
    ),
}  # fmt: skip


class Record:
    """What is known so far, in a file."""

    def __init__(self, path: Path, content: dict[str, object]) -> None:
        self.path, self.content = path, content
        self.parts: dict[str, dict[str, Any]] = {}
        self.left_out: dict[str, str] = {}
        content |= {"parts": self.parts, "left_out": self.left_out}

    def save(self) -> None:
        """Write all of it."""
        write_text(self.path, json.dumps(self.content, indent=1, default=str) + "\n")


@dataclass(frozen=True)
class Time:
    """Minutes from `started`, of the monotonic clock."""

    minutes: float
    started: float

    @property
    def left_s(self) -> float:
        """Seconds until they are over."""
        return max(0.0, self.started + 60 * self.minutes - time.monotonic())


def run_parts(parts: Mapping[str, Part], worker: Worker, setting: Setting, limit: Time, record: Record) -> None:
    """Run, in order, what there is time for."""
    for name, part in parts.items():
        estimate_s = setting.pick(part.seconds, part.seconds_small)
        if estimate_s <= limit.left_s:
            most_s = limit.left_s if setting.small else min(limit.left_s, _MOST_OVERRUN * estimate_s)
            run_part(name, part, worker, setting, most_s, record)
            continue
        record.left_out[name] = (
            f"needs about {estimate_s:.0f} s, and {limit.left_s:.0f} s of {limit.minutes:g} minutes were left"
        )
        record.save()
        print(f"{name}: left out: {record.left_out[name]}", flush=True)


def run_part(name: str, part: Part, worker: Worker, setting: Setting, limit_s: float, record: Record) -> None:
    """Run one part; its figures are in the file as they come."""
    print(f"{name}: {part.title} ...", flush=True)
    figures: Figures = {}
    found = record.parts[name] = {"title": part.title, "figures": figures}

    def keep(new: Figures) -> None:
        figures.update(new)
        record.save()

    started = time.monotonic()
    end = worker.run(part.run, setting, limit_s, keep)
    found["seconds"] = round(time.monotonic() - started, 1)
    if end.kind == "failed":
        found |= {"error": end.why, "traceback": end.traceback}
    if end.kind == "left out":
        record.left_out[name] = end.why
    record.save()
    print(f"{name}: {end.kind} after {found['seconds']} s{': ' if end.why else ''}{end.why}", flush=True)


def show(record: Record, parts: Mapping[str, Part]) -> None:
    """Print all figures, beside what they should be on a GPU, then what failed and what was left out."""
    for name, found in record.parts.items():
        figures = found["figures"]
        if figures:
            print(f"\n{name}: {parts[name].title}")
        for figure, value in figures.items():
            shown = f"{value:.4g}" if isinstance(value, float) else str(value)
            aim = None if record.content["small"] else parts[name].aims.get(figure)
            print(f"  {figure:<44}{shown:>14}{f'   (aim {aim})' if aim else ''}")
    print()
    for name, found in record.parts.items():
        if "error" in found:
            print(f"failed: {name}: {found['error']}")
    for name, why in record.left_out.items():
        print(f"left out: {name}: {why}")


def commit() -> str | None:
    """Of the source folder, with a plus sign where it is not the code that was committed; None where git knows none."""
    try:
        words = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def default_file() -> Path:
    """gpu.json in the folder $OUT, where there is one, or here."""
    return Path(os.environ.get("OUT", ".")) / "gpu.json"


def arguments(words: Sequence[str] | None, parts: Mapping[str, Part]) -> Namespace:
    """The options; `only` holds names of parts."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=8.0, help="when all must be done, from the start (8)")
    parser.add_argument("-o", "--output", type=Path, default=default_file(), help="JSON file (gpu.json, or in $OUT)")
    parser.add_argument("--only", nargs="+", choices=parts, metavar="PART", help=f"of {', '.join(parts)}")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to see that it runs; so it is without a GPU")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None, parts: Mapping[str, Part] = PARTS) -> int:
    """Run all; exit status 1 where a part failed."""
    started, asked = time.monotonic(), arguments(words, parts)
    typed = shlex.join(["python", "benchmarks/gpu.py", *(sys.argv[1:] if words is None else words)])
    date = datetime.now(UTC).isoformat(timespec="seconds")
    record = Record(asked.output, {"date": date, "command": typed, "commit": commit()})
    chosen = {name: part for name, part in parts.items() if name in (asked.only or parts)}
    with tempfile.TemporaryDirectory(prefix="gpu-", ignore_cleanup_errors=True) as folder:
        worker = Worker()
        try:
            setting = describe(worker, Setting(asked.device, asked.small, Path(folder)), record)
            run_parts(chosen, worker, setting, Time(asked.minutes, started), record)
        finally:
            worker.close()
    show(record, parts)
    print(f"\n{time.monotonic() - started:.0f} s; all figures are in {asked.output}")
    return int(any("error" in found for found in record.parts.values()))


def describe(worker: Worker, setting: Setting, record: Record) -> Setting:
    """Put the machine into the record; the setting with the device that there is, small where that is a CPU."""
    machine: Figures = {}
    end = worker.run("gpu_parts.machine:describe", setting, _LONGEST_START_S, machine.update)
    if end.kind != "done":
        raise SystemExit(f"error: {end.why}")
    record.content["machine"] = machine
    setting = replace(setting, device=str(machine["device"]), small=setting.small or machine["device"] == "cpu")
    record.content["small"] = setting.small
    record.save()
    size = "a small size, which measures nothing" if setting.small else "full size"
    print(f"{', '.join(f'{name} {value}' for name, value in machine.items())}; {size}", flush=True)
    return setting


if __name__ == "__main__":
    sys.exit(main())
