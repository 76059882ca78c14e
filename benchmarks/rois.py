"""What do automatic ROIs cost? A phantom cohort through segmentation, both classifiers, and `autodls benchmark rois`.

    python benchmarks/rois.py OUT [--cases 72] [--external 24] [--difficulty 0.1] [--seed 0]

Needs nnU-Net (pip install 'autodls[segmentation]'). Every step is a command of autodls on OUT/dataset and
OUT/workspace, so one that was stopped continues where it was when this is run again. The minutes of each step stand at
the end; those of a run that continues are of what was left.
"""

import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path

from autodls.cli.benchmark_command import run_benchmark_rois
from autodls.cli.console import exit_status_of, progress
from autodls.cli.data_commands import run_plan
from autodls.cli.evaluate_command import run_evaluate
from autodls.cli.report_command import run_report
from autodls.cli.segment_command import run_segment
from autodls.cli.train_command import run_train
from autodls.phantom.cohort import PhantomSettings, write_cohort
from autodls.planning.request import PlanRequest
from autodls.records.model_folders import RoiKind
from autodls.records.workspace import Workspace

KINDS: tuple[RoiKind, ...] = ("manual", "auto")


def steps(asked: Namespace) -> dict[str, Callable[[], object]]:
    """The commands, by name, in their order."""
    dataset, root, workers = asked.output / "dataset", asked.output / "workspace", asked.workers

    def train(rois: RoiKind) -> None:
        run_train(dataset, root, "all", rois, restart=False, workers=workers, as_json=False)

    return {
        "phantom cohort": lambda: write(asked, dataset),
        "plan": lambda: plan(asked, dataset, Workspace(root)),
        "segment fold all": lambda: run_segment(dataset, root, "all", restart=False, workers=workers, as_json=False),
        **{f"train fold all --rois {rois}": lambda rois=rois: train(rois) for rois in KINDS},
        **{
            f"evaluate --rois {rois}": lambda rois=rois: run_evaluate(dataset, root, rois, as_json=False)
            for rois in KINDS
        },
        "benchmark rois": lambda: run_benchmark_rois(
            dataset, root, asked.robustness_cases, workers=workers, as_json=False
        ),
        "report": lambda: run_report(dataset, root, None, "manual"),
    }


def write(asked: Namespace, dataset: Path) -> None:
    """Write the cohort; cases that are there are kept."""
    settings = PhantomSettings(
        cases=asked.cases, external_cases=asked.external, difficulty=asked.difficulty, seed=asked.seed
    )
    with progress("phantom cohort", len(settings.case_ids)) as advance:
        write_cohort(dataset, settings, advance)


def plan(asked: Namespace, dataset: Path, workspace: Workspace) -> None:
    """Plan once: a plan that is there has networks that depend on it."""
    if not workspace.plan.exists():
        run_plan(dataset, workspace.root, PlanRequest(preset=asked.preset, device="cpu"), asked.workers, "summary")


def run(asked: Namespace) -> None:
    """Run all steps and print how long each took."""
    minutes = {}
    for name, step in steps(asked).items():
        print(f"== {name}")
        start = time.monotonic()
        step()
        minutes[name] = (time.monotonic() - start) / 60
    print("\n".join(f"{name:30s} {spent:7.1f} min" for name, spent in minutes.items()))
    print(f"{'all':30s} {sum(minutes.values()):7.1f} min")


def main() -> None:
    """Read the options."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--cases", type=int, default=72)
    parser.add_argument("--external", type=int, default=24)
    parser.add_argument("--difficulty", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--preset", default="demo")
    parser.add_argument("--robustness-cases", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    raise SystemExit(exit_status_of(lambda: run(asked)))


if __name__ == "__main__":
    main()
