"""What evaluate, predict, explain, verify and benchmark found, as a person sees it."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from autodls.cli.console import say, say_json, show_table
from autodls.evaluation.score_auc import ScoreAuc
from autodls.records.formatting import number
from autodls.records.words import plural

if TYPE_CHECKING:
    from autodls.evaluation.metrics_record import Metrics
    from autodls.inference.prediction import Prediction
    from autodls.stages.benchmark_images import ImagesBenchmarked
    from autodls.stages.benchmark_patients import Patients
    from autodls.stages.benchmark_rois import Benchmarked
    from autodls.stages.benchmark_sequences import Sequences
    from autodls.stages.evaluate import Evaluated
    from autodls.stages.explain import Explained
    from autodls.stages.verify import Verified
    from autodls.verify.chain import Link

_INTERVALS = {
    "delong-logit": "DeLong, logit",
    "delong-logit-cv": "DeLong, logit, variance doubled",
    "bootstrap-patients": "bootstrap over patients",
    "bootstrap-patients-cv": "bootstrap over patients, variance doubled",
}


def show_aucs(title: str, rows: Sequence[ScoreAuc]) -> None:
    """Print a table of AUCs; the method of the intervals heads them, or stands beside each where there are several."""
    lines = [[row.cohort, row.row, str(row.n), str(row.positives), row.text] for row in rows]
    methods = [_INTERVALS[row.method] if row.low is not None else "" for row in rows]
    known = sorted({method for method in methods if method})
    header = ["cohort", "score", "n", "positive", f"AUC (95% CI, {known[0]})" if len(known) == 1 else "AUC (95% CI)"]
    if len(known) > 1:
        header, lines = [*header, "interval"], [[*line, method] for line, method in zip(lines, methods, strict=True)]
    show_table(title, header, lines, numbers_from=2)


def show_evaluated(found: "Evaluated", *, as_json: bool = False) -> None:
    """The AUC of every score, and where the rest lies."""
    if as_json:
        say_json([row.model_dump() for row in found.rows])
        return
    show_aucs("AUC of every score in every cohort", found.rows)
    folds = found.tables["folds"].printed
    show_table(folds.title, folds.header, folds.lines, numbers_from=1)
    say(f"all metrics: {found.workspace.metrics}")
    say(f"tables and figures: {found.workspace.tables}, {found.workspace.figures}")


def show_judged(metrics: "Metrics", table: Path, output: Path | None) -> None:
    """The AUC of every score of a table; where nothing is written, all there is."""
    from autodls.evaluation.score_aucs import metric_rows

    if output is None:
        say_json(metrics.to_bytes().decode())
        return
    show_aucs(f"AUC of {table.name}", metric_rows(metrics))
    say(f"all metrics: {output}/metrics.json")
    say(f"tables, figures and a page to read: {output}/report.html")


def show_predicted(prediction: "Prediction", output: Path, *, as_json: bool) -> None:
    """The score of each case, and how many could not be scored."""
    if as_json:
        say_json(prediction.to_bytes().decode())
        return
    if prediction.cases:
        show_table(
            f"{prediction.target}: DLS, high at or above {prediction.cases[0].cutoff:.3f}",
            ["case", "DLS", "call", "spread over folds", "flags"],
            [
                [score.case, f"{score.dls:.3f}", score.call, number(score.spread), "; ".join(score.flags)]
                for score in prediction.cases
            ],
        )
    failed = f", {len(prediction.failed)} not scored" if prediction.failed else ""
    say(f"{plural(len(prediction.cases), 'case')} scored{failed}: {output / 'scores.csv'}")


def show_explained(found: "Explained", *, as_json: bool) -> None:
    """How much of each map lies in the tumour, and what the maps depend on."""
    if as_json:
        say_json({"folder": str(found.folder.root), **found.summary})
        return
    head = ["case", "cohort", "explained by", "DLS", "in tumour", "5 mm rim", "outside", "tumour's area"]
    show_table("Share of the fused score's heat map, mean of the planes", head, found.share_rows, numbers_from=3)
    if found.verdict is not None:
        say(f"{found.verdict.text}; {found.verdict.thresholds}")
    say(f"pictures, maps and tables: {found.folder.root}")


def show_verified(found: "Verified", *, as_json: bool) -> None:
    """Every link of the chain, and whether it fits."""
    if as_json:
        say_json({"fits": found.fits, "links": [asdict(link) for link in found.links]})
        return
    for link in found.links:
        say(f"{_verdict(link):<13} {link.name}")


def _verdict(link: "Link") -> str:
    if not link.checked:
        return "not checked"
    return "does not fit" if link.faults else "fits"


def show_benchmarked(found: "Benchmarked", *, as_json: bool) -> None:
    """All tables, and in words what automatic ROIs cost."""
    benchmark, workspace = found.benchmark, found.workspace
    if as_json:
        say_json(benchmark.to_bytes().decode())
        return
    for printed in found.tables:
        show_table(printed.title, printed.header, printed.lines, numbers_from=2)
        for remark in printed.notes:
            say(f"  {remark}")
        say("")
    for cohort, held in (benchmark.effect or {}).items():
        say(f"{cohort}: {held.sentence}")
    say(f"everything: {workspace.roi_benchmark}; tables: {workspace.tables}, figures: {workspace.figures}")


def show_patients(found: "Patients", *, as_json: bool) -> None:
    """The learning curve, and in words what more patients may bring."""
    if as_json:
        say_json(found.benchmark.model_dump(mode="json"))
        return
    printed = found.table.printed
    show_table(printed.title, printed.header, printed.lines, numbers_from=1)
    for remark in printed.notes:
        say(f"  {remark}")
    say(found.benchmark.sentence)
    say(f"all of it: {found.workspace.learning_curve}")


def show_images(found: "ImagesBenchmarked", *, as_json: bool) -> None:
    """What worse images do to scores and calls, and a sentence a kind."""
    if as_json:
        say_json(found.benchmark.to_bytes().decode())
        return
    printed = found.table.printed
    show_table(printed.title, printed.header, printed.lines, numbers_from=2)
    for remark in (*printed.notes, *found.benchmark.sentences):
        say(f"  {remark}")
    say(f"all of it: {found.workspace.image_benchmark}")


def show_withheld(found: "Sequences") -> None:
    """The scores of all cases with each sequence withheld."""
    from autodls.report.tables.withheld import withheld_table

    printed = withheld_table(found.withheld).printed
    show_table(printed.title, printed.header, printed.lines, numbers_from=2)
    for remark in printed.notes:
        say(f"  {remark}")
    say(f"table: {found.workspace.table('withheld')}")
