"""What check, plan, segment, train and demo found, as a person sees it."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from autodls.cli.console import note, say, say_json, show_table
from autodls.cli.show_scores import show_aucs, show_evaluated
from autodls.limits import MOST_SHOWN
from autodls.planning.check import CheckReport
from autodls.planning.segmentation_time import in_words, segmentation_time
from autodls.records.automatic_roi import MaskSource
from autodls.records.plan import Plan
from autodls.records.words import plural
from autodls.report.tables.plan import CHECK_HEADER, check_rows, plan_rows
from autodls.stages.segment import Segmented
from autodls.stages.train import Trained

if TYPE_CHECKING:
    from autodls.stages.demo import Demo
    from autodls.stages.run import StudyRun

_SOURCES: dict[MaskSource, str] = {
    "threshold": "drawn at 0.5",
    "lower-threshold": "drawn at the lower threshold",
    "whole-field": "not found: the whole field",
}


def show_check(report: CheckReport, *, as_json: bool = False, following: str = "autodls plan") -> None:
    """The cases of each cohort, what is wrong, and whether it must be repaired."""
    if as_json:
        say_json(asdict(report))
        return
    show_table(f"Dataset {report.dataset}", CHECK_HEADER, check_rows(report))
    if report.problems:
        rows = [[p.severity, p.case or "(dataset)", p.what, p.repair] for p in report.problems[:MOST_SHOWN]]
        show_table("Problems", ["", "case", "what", "repair"], rows)
        if len(report.problems) > MOST_SHOWN:
            say(f"and {len(report.problems) - MOST_SHOWN} more, which --json lists\n")
    verdict = "nothing is wrong" if not report.errors else f"{plural(len(report.errors), 'error')} must be repaired"
    say(f"{verdict}; {plural(len(report.warnings), 'warning')}. Next: {following}" if not report.errors else verdict)


def show_plan(plan: Plan, *, as_json: bool = False, reasons: bool = False) -> None:
    """Its main values, every value with its reason, or its file as it is."""
    if as_json:
        say_json(plan.to_bytes().decode())
        return
    header = ["setting", "value", "why"] if reasons else ["setting", "value"]
    show_table(f"Plan of {plan.dataset}, preset {plan.preset}", header, plan_rows(plan, reasons=reasons))
    if not reasons:
        say("autodls plan --explain gives the reason for every value.")
    elif not plan.derived:
        note("the plan is of an older version: reasons are those of the planner, also of values set by hand since")
    say(f"What this cohort can show: {plan.expectation.statement}")
    time = in_words(plan.budget.predicted_training_minutes / 60)
    how = f"by steps measured on {plan.budget.measured_on}" if plan.budget.measured_on else "by estimate"
    say(f"Automatic ROIs, optional (autodls segment fold all): {segmentation_time(plan, plan.training.folds)}.")
    say(f"Training on {plan.budget.device}: about {time}, {how}. Next: autodls train fold all")


def show_segmented(done: Segmented, *, as_json: bool) -> None:
    """How the ROIs came about, and which to look at."""
    if as_json:
        say_json(done.summary)
        return
    show_table(
        "Automatic ROIs (each drawn by the fold that did not see the case)",
        ["ROI", "training cases"],
        [[words, str(done.sources[source])] for source, words in _SOURCES.items()],
        numbers_from=1,
    )
    for row in done.record.cases:
        if row.flags:
            note(f"look at {row.case}: {'; '.join(row.flags)}")
    say(f"Mean confidence {done.mean_confidence:.2f} in {len(done.record.cases)} of {done.training} training cases")
    note(f"{'next' if done.complete else 'when all folds are segmented'}: autodls train fold all --rois auto")


def show_trained(done: Trained, *, as_json: bool = False) -> None:
    """With all folds, the out-of-fold AUCs and where the model lies."""
    model = done.model
    if as_json:
        say_json(done.summary)
    elif model is None:
        say(f"fold {done.folds[0]} is trained. When all folds are: autodls train fold all locks the ensemble")
    else:
        show_aucs("Out-of-fold AUC (each case scored by the fold that did not see it)", done.auc)
        if done.by_mean:
            say(
                f"In {done.by_mean} of {model.folds} folds dls is the mean of the sequences' log-odds: the transformer "
                "was not shown to be better"
            )
        say(f"Locked model: {done.workspace.model.root} (cut-off {model.cutoff:.3f}, {model.cutoff_source})")
        given, chosen = ("--rois ROIS ", "") if model.rois == "manual" else ("", " --rois auto")
        note(f"next: autodls predict -i IMAGES {given}-o OUT, or autodls evaluate{chosen} for the held-out cohorts")


def show_run(done: "StudyRun", *, as_json: bool = False) -> None:
    """Every stage, the AUCs where they were made now, and where to look."""
    if as_json:
        say_json(done.summary)
        return
    shown = [[one.name, one.standing, f"{one.seconds:.0f} s" if one.standing == "done" else ""] for one in done.stages]
    show_table("Stages", ["stage", "", "time"], shown, numbers_from=2)
    if (evaluated := done.results.get("evaluate")) is not None:
        show_evaluated(evaluated)
    say(f"report: {done.report} (open it in a browser)")


def show_demo(made: "Demo") -> None:
    """What was reached, and where to look."""
    workspace = made.workspace
    show_run(made.run)
    show_table(
        "What was reached, beside the best that any score could reach on this phantom",
        ["cohort", "score", "n", "AUC (95% CI)", "best possible"],
        [[row.cohort, row.row, str(row.n), row.text, f"{made.best_auc(row.row):.3f}"] for row in made.rows],
        numbers_from=2,
    )
    say(f"Look at {made.report} (open it in a browser), {workspace.oof_scores} (a score for every case),")
    say(f"{workspace.plan} (every choice and its reason) and {workspace.model.root} (the locked model).")
    note(
        f"try: autodls predict -m {workspace.model.root} -i {made.dataset}/imagesTr --rois {made.dataset}/labelsTr "
        f"-o {made.dataset.parent}/predicted"
    )
