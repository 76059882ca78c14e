"""`autodls segment`, `train` and `benchmark`: groups of one command each, and the options of it."""

from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from autodls.cli import options
from autodls.cli.console import Terminal, tell


class _FoldGroup(TyperGroup):
    """Names the whole command where `all`, or the number of a fold, stands in the place of `fold`."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name."""
        found = super().get_command(ctx, cmd_name)
        if found is None and (cmd_name == "all" or cmd_name.isdecimal()):
            ctx.fail(f"No such command '{cmd_name}'. Did you mean 'autodls {ctx.info_name} fold {cmd_name}'?")
        return found


def _group(about: str, kind: type[TyperGroup] = _FoldGroup) -> typer.Typer:
    return typer.Typer(cls=kind, no_args_is_help=True, rich_markup_mode=None, help=about)


train_app = _group("Train folds, then lock the ensemble.")
segment_app = _group("Draw ROIs automatically, by nnU-Net.")
benchmark_app = _group("Measure what a choice costs.", TyperGroup)


@segment_app.command("fold")
def segment_fold(
    which: Annotated[str, typer.Argument(metavar="all|K", help="All folds, or the number of one.")],
    dataset: options.DatasetOption = options.CURRENT,
    workspace: options.WorkspaceOption = None,
    name: options.NameOption = None,
    restart: options.RestartOption = False,
    workers: options.WorkersOption = options.WORKERS,
    dry_run: options.DryRunOption = False,
    executor: options.ExecutorOption = "local",
    address: options.AddressOption = None,
    slurm: options.SlurmOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Train nnU-Net on the folds of the plan. Every training case is drawn by the fold that did not see it.

    Optional: it needs nnU-Net (pip install 'autodls[segmentation]'), a GPU or patience, and manual ROIs to learn from.
    Of several parts that a network finds, the ROI is the largest; to choose others, set segmentation.mask.components in
    plan.json to "all" or to their numbers by volume, such as [1, 2], and run it again: masks are drawn anew, nothing is
    trained.
    Afterwards `autodls train fold all --rois auto` trains the classifier on these ROIs. Run again, it continues.
    """
    from autodls.jobs.executor import executor_of

    who = executor_of(executor, address, slurm or ())
    workspace = options.experiment_of(dataset, workspace, name)
    if dry_run:
        from autodls.stages.dry_run import dry_segment

        tell(dry_segment(dataset, workspace, which, restart=restart, workers=workers))
        return
    from autodls.cli.show_study import show_segmented
    from autodls.stages.segment import segment

    watch = Terminal()
    done = segment(dataset, workspace, which, restart=restart, workers=workers, executor=who, watch=watch)
    show_segmented(done, as_json=as_json)


@train_app.command("fold")
def train_fold(
    which: Annotated[str, typer.Argument(metavar="all|K", help="All folds (then the ensemble), or the number of one.")],
    dataset: options.DatasetOption = options.CURRENT,
    workspace: options.WorkspaceOption = None,
    name: options.NameOption = None,
    rois: Annotated[Literal["manual", "auto"], typer.Option("--rois", help="Whose ROIs to train on.")] = "manual",
    restart: options.RestartOption = False,
    workers: options.WorkersOption = options.WORKERS,
    at_once: options.AtOnceOption = None,
    dry_run: options.DryRunOption = False,
    executor: options.ExecutorOption = "local",
    address: options.AddressOption = None,
    slurm: options.SlurmOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Train the folds of the plan. With 'all', lock the ensemble afterwards. Run again, it continues.

    In nnU-Net, fold 'all' means one model on all data; here it means all folds.
    """
    from autodls.jobs.executor import executor_of

    who = executor_of(executor, address, slurm or ())
    workspace = options.experiment_of(dataset, workspace, name)
    if dry_run:
        from autodls.stages.dry_run import dry_train

        tell(dry_train(dataset, workspace, which, rois, restart=restart, workers=workers))
        return
    from autodls.cli.show_study import show_trained
    from autodls.stages.train import train

    done = train(
        dataset,
        workspace,
        which,
        rois,
        restart=restart,
        workers=workers,
        at_once=at_once,
        executor=who,
        watch=Terminal(),
    )
    show_trained(done, as_json=as_json)


@benchmark_app.command("rois")
def benchmark_rois(
    dataset: options.DatasetOption = options.CURRENT,
    workspace: options.WorkspaceOption = None,
    name: options.NameOption = None,
    robustness_cases: Annotated[
        int,
        typer.Option(
            "--robustness-cases", metavar="N", help="Cases of each cohort whose manual ROI is changed; 0: none."
        ),
    ] = 8,
    workers: options.WorkersOption = options.WORKERS,
    as_json: options.JsonOption = False,
) -> None:
    """Compare automatic with manual ROIs. Tells their agreement, and what they cost the score.

    Needs the masks of 'autodls segment fold all', and for the cost 'autodls train fold all' with both kinds of --rois.
    """
    from autodls.cli.show_scores import show_benchmarked
    from autodls.stages.benchmark_rois import benchmark_rois as compare

    workspace = options.experiment_of(dataset, workspace, name)
    found = compare(dataset, workspace, robustness_cases, workers=workers, watch=Terminal())
    show_benchmarked(found, as_json=as_json)


@benchmark_app.command("sequences")
def benchmark_sequences(
    dataset: options.DatasetOption = options.CURRENT,
    workspace: options.WorkspaceOption = None,
    name: options.NameOption = None,
    device: options.ComputeOption = "auto",
    workers: options.WorkersOption = options.WORKERS,
) -> None:
    """Score every case as if one of its sequences were missing. Tells what each is worth to the locked model.

    Needs 'autodls train fold all' on manual ROIs; run it after 'autodls evaluate', whose tables it joins.
    """
    from autodls.cli.show_scores import show_withheld
    from autodls.stages.benchmark_sequences import benchmark_sequences as withhold

    workspace = options.experiment_of(dataset, workspace, name)
    show_withheld(withhold(dataset, workspace, device=device, workers=workers, watch=Terminal()))


@benchmark_app.command("images")
def benchmark_images(
    dataset: options.DatasetOption = options.CURRENT,
    workspace: options.WorkspaceOption = None,
    name: options.NameOption = None,
    most_cases: options.MostCasesOption = None,
    device: options.ComputeOption = "auto",
    workers: options.WorkersOption = options.WORKERS,
    as_json: options.JsonOption = False,
) -> None:
    """Make the images worse, and see how far scores and calls move.

    Motion, ghosts, bias field, noise, blur and thick slices, four levels each, by TorchIO (pip install
    'autodls[stress]'). Training cases are scored by the fold that did not see them, held-out ones by the locked model.
    Needs 'autodls train fold all' on manual ROIs, which stay as they are. Scores are kept: run again, it continues.
    """
    from autodls.cli.show_scores import show_images
    from autodls.stages.benchmark_images import benchmark_images as measure

    workspace = options.experiment_of(dataset, workspace, name)
    done = measure(dataset, workspace, most_cases, device=device, workers=workers, watch=Terminal())
    show_images(done, as_json=as_json)


@benchmark_app.command("patients")
def benchmark_patients(
    dataset: options.DatasetOption = options.CURRENT,
    workspace: options.WorkspaceOption = None,
    name: options.NameOption = None,
    rois: options.RoisOption = None,
    candidate: options.CurveCandidateOption = None,
    repeats: options.CurveRepeatsOption = None,
    label_agreement: options.LabelAgreementOption = None,
    label_source: options.LabelSourceOption = None,
    half_width: options.HalfWidthOption = 0.05,
    workers: options.WorkersOption = options.WORKERS,
    executor: options.ExecutorOption = "local",
    address: options.AddressOption = None,
    slurm: options.SlurmOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Draw the AUC on to more patients. A candidate is fitted again on subsets.

    Every subset lies in a fold's training part, and is judged on the fold's test cases. Networks (--candidate deep) are
    trained again, half as long again as training took; how long is told first. What is fitted is kept: run again, it
    continues.
    """
    from autodls.cli.show_scores import show_patients
    from autodls.jobs.executor import executor_of
    from autodls.stages.benchmark_patients import benchmark_patients as measure

    who = executor_of(executor, address, slurm or ())
    workspace = options.experiment_of(dataset, workspace, name)
    done = measure(
        dataset,
        workspace,
        rois,
        candidate=candidate,
        repeats=repeats,
        label_agreement=label_agreement,
        label_source=label_source,
        half_width=half_width,
        workers=workers,
        executor=who,
        watch=Terminal(),
    )
    show_patients(done, as_json=as_json)
