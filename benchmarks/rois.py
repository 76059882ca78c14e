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

from autodls.cli.console import Terminal, exit_status_of, progress
from autodls.cli.show_scores import show_benchmarked, show_evaluated
from autodls.cli.show_study import show_plan, show_segmented, show_trained
from autodls.phantom.cohort import PhantomSettings, write_cohort
from autodls.records.model_folders import RoiKind
from autodls.records.workspace import Workspace
from autodls.study import Study

KINDS: tuple[RoiKind, ...] = ("manual", "auto")


def steps(asked: Namespace) -> dict[str, Callable[[], object]]:
    """The commands, by name, in their order."""
    dataset, root, workers = asked.output / "dataset", asked.output / "workspace", asked.workers
    study = Study(dataset, root, Terminal())
    train = {
        f"train fold all --rois {rois}": lambda rois=rois: show_trained(study.train(rois=rois, workers=workers))
        for rois in KINDS
    }
    evaluate = {f"evaluate --rois {rois}": lambda rois=rois: show_evaluated(study.evaluate(rois)) for rois in KINDS}
    cases = asked.robustness_cases
    return {
        "phantom cohort": lambda: write(asked, dataset),
        "plan": lambda: plan(asked, study, Workspace(root)),
        "segment fold all": lambda: show_segmented(study.segment(workers=workers), as_json=False),
        **train,
        **evaluate,
        "benchmark rois": lambda: show_benchmarked(study.benchmark_rois(cases, workers=workers), as_json=False),
        "report": lambda: print(study.report(rois="manual")),
    }


def write(asked: Namespace, dataset: Path) -> None:
    """Write the cohort; cases that are there are kept."""
    settings = PhantomSettings(
        cases=asked.cases, external_cases=asked.external, difficulty=asked.difficulty, seed=asked.seed
    )
    with progress("phantom cohort", len(settings.case_ids)) as advance:
        write_cohort(dataset, settings, advance)


def plan(asked: Namespace, study: Study, workspace: Workspace) -> None:
    """Plan once: a plan that is there has networks that depend on it."""
    if not workspace.plan.exists():
        show_plan(study.plan(asked.preset, device="cpu", workers=asked.workers).plan)


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
