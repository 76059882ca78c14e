"""`check`, `plan` and `preprocess`, as a person sees them."""

import json
from dataclasses import asdict
from pathlib import Path

from autodls.cli.console import Terminal, note, say, say_json, show_table
from autodls.cli.plan_view import View, show_plan
from autodls.limits import MOST_SHOWN
from autodls.planning.check import CheckReport
from autodls.planning.request import PlanRequest


def run_check(dataset: Path, workers: int, as_json: bool) -> int:
    """Check a dataset folder and print what is wrong; the exit status, 2 when there are errors."""
    from autodls.stages.check import check

    report = check(dataset, workers=workers, watch=Terminal())
    if as_json:
        say_json(json.dumps(asdict(report), default=str, indent=1))
    else:
        _show_check(report)
    return 2 if report.errors else 0


def _show_check(report: CheckReport) -> None:
    show_table(
        f"Dataset {report.dataset}",
        ["cohort", "cases", "patients", "positive", "negative", "no label", "missing sequences"],
        [
            [
                name,
                *(str(n) for n in (count.cases, count.patients, count.positives, count.negatives, count.unlabelled)),
                ", ".join(f"{sequence} {n}" for sequence, n in count.missing.items() if n) or "none",
            ]
            for name, count in report.cohorts.items()
        ],
    )
    if report.problems:
        rows = [[p.severity, p.case or "(dataset)", p.what, p.repair] for p in report.problems[:MOST_SHOWN]]
        show_table("Problems", ["", "case", "what", "repair"], rows)
        if len(report.problems) > MOST_SHOWN:
            say(f"and {len(report.problems) - MOST_SHOWN} more, which --json lists\n")
    verdict = "nothing is wrong" if not report.errors else f"{len(report.errors)} errors must be repaired"
    say(f"{verdict}; {len(report.warnings)} warnings. Next: autodls plan" if not report.errors else verdict)


def run_plan(
    dataset: Path, workspace: Path | None, request: PlanRequest, workers: int, view: View, *, restart: bool = False
) -> None:
    """Plan, and show the plan."""
    from autodls.stages.plan import plan

    show_plan(plan(dataset, workspace, request, workers=workers, restart=restart, watch=Terminal()), view)


def run_explain_plan(dataset: Path, workspace: Path | None, request: PlanRequest, *, as_json: bool) -> None:
    """Show the plan that is there, every value with its reason."""
    from autodls.stages.plan import explain_plan

    found = explain_plan(dataset, workspace)
    if request != PlanRequest():
        note("--explain shows the plan that is there: options that make one are for 'autodls plan' without it")
    show_plan(found, "json" if as_json else "explain")


def run_preprocess(dataset: Path, workspace: Path | None, workers: int) -> None:
    """Write the samples, and say where they are."""
    from autodls.stages.preprocess import preprocess

    done = preprocess(dataset, workspace, workers=workers, watch=Terminal())
    say(f"{len(done.keys)} samples in {done.folder}. Next: autodls train fold all")
