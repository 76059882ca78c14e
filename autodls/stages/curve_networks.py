"""Networks trained again on subsets of the folds, for the learning curve of the DLS."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from autodls.jobs.executor import Executor
from autodls.planning.segmentation_time import in_words
from autodls.records.files import link_or_copy, sha256_of_bytes
from autodls.records.plan import Plan
from autodls.records.scores import FUSED, load_fold_scores
from autodls.records.splits import Fold, Splits, SubsetSplits
from autodls.records.training_log import Epoch, log_lines
from autodls.records.workspace import Workspace
from autodls.stages.preprocess import preprocess_training
from autodls.stages.session import Session
from autodls.watch import Bar, Watch

if TYPE_CHECKING:
    from autodls.evaluation.learning_curve import Subset

SHARES = (0.25, 0.5, 0.75, 1.0)
REPEATS = 1  # networks take as long as training did, and half as long again


def scores_of_networks(
    session: Session, plan: Plan, splits: Splits, subsets: "Sequence[Subset]", executor: Executor, workers: int,
    watch: Watch,
) -> list[NDArray[np.float64]]:  # fmt: skip
    """Logits of the test rows of each of `subsets` by networks that were trained on it alone.

    Those of whole folds are trained already. Others are trained by `executor` in folders of their own, a repeat and
    share each, and kept, so that a run that was stopped goes on.
    """
    place = session.workspace
    ids = [case.id for case in session.training]
    runs = {(one.repeat, one.share): place for one in subsets}
    smaller = [run for run in runs if run[1] < 1]
    sample_keys = preprocess_training(session, plan, workers, watch)
    parts = {run: thinned(splits, [one for one in subsets if (one.repeat, one.share) == run], ids) for run in smaller}
    runs |= {run: place.on_subset(_folder(run, plan, part, sample_keys)) for run, part in parts.items()}
    _forget_others(place, [runs[run].root for run in smaller])
    watch.note(_forecast(place, plan, splits, smaller))
    with watch.progress("training on subsets", len(smaller) * len(splits.folds) * _epochs(plan)) as bar:
        for number, run in enumerate(smaller):
            begun = number * len(splits.folds) * _epochs(plan)
            _train(session, plan, parts[run], runs[run], sample_keys, executor, (bar, begun), watch)
    found = []
    for one in subsets:
        scored = load_fold_scores(runs[one.repeat, one.share].fold(one.fold), plan.sequences)
        logits = {score.case: score.logits[FUSED] for score in scored if score.part == "validation"}
        found.append(np.array([logits[ids[row]] for row in one.scored]))
    return found


def thinned(splits: Splits, drawn: "Sequence[Subset]", ids: Sequence[str]) -> SubsetSplits:
    """Folds whose train and inner parts are the cases that were drawn for each; what they validate is the same."""
    kept = {one.fold: {ids[row] for row in one.fitted} for one in drawn}
    folds = tuple(
        Fold(
            index=fold.index,
            train=tuple(case for case in fold.train if case in kept[fold.index]),
            inner=tuple(case for case in fold.inner if case in kept[fold.index]),
            validation=fold.validation,
        )
        for fold in splits.folds
    )
    return SubsetSplits(**{**splits.model_dump(), "folds": folds})


def _train(
    session: Session, plan: Plan, splits: SubsetSplits, place: Workspace, sample_keys: Mapping[str, str],
    executor: Executor, shown: tuple[Bar, int], watch: Watch,
) -> None:  # fmt: skip
    from autodls.jobs.train import train_on

    for case in session.training:
        if not place.sample(case.id).is_file():
            link_or_copy(session.workspace.sample(case.id), place.sample(case.id))
    bar, begun = shown
    done: dict[tuple[int, str], int] = {}

    def report(fold: int, epoch: Epoch) -> None:
        done[fold, epoch.stage] = epoch.epoch + 1
        bar.move(begun + sum(done.values()), f"{place.root.name}: fold {fold} {epoch.stage} epoch {epoch.epoch + 1}")

    folds = range(len(splits.folds))
    train_on(executor, place, session.training, plan, splits, folds, report, None, sample_keys, note=watch.note)


def _folder(run: tuple[int, float], plan: Plan, splits: SubsetSplits, sample_keys: Mapping[str, str]) -> str:
    """The name of a folder that networks of another plan, subset or sample never lie in."""
    content = [plan.sha256(), splits.sha256(), sorted(sample_keys.items())]
    return f"{run[0]}_{run[1]:g}-{sha256_of_bytes(json.dumps(content).encode())[:12]}"


def _forget_others(place: Workspace, wanted: Sequence[Path]) -> None:
    """Remove networks of other plans or subsets: nobody goes on with them."""
    folder = place.on_subset("").root
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path not in wanted:
            shutil.rmtree(path)


def _epochs(plan: Plan) -> int:
    from autodls.training.standing import stages_of

    return sum(stages_of(plan).values())


def _forecast(place: Workspace, plan: Plan, splits: Splits, smaller: Sequence[tuple[int, float]]) -> str:
    """How long it may take: by what the folds took, which their logs know, and by what the plan predicted."""
    share = sum(part for _, part in smaller)
    took = sum(
        line.seconds
        for fold in splits.folds
        for line in log_lines(place.fold(fold.index).log)
        if isinstance(line, Epoch)
    )
    planned = plan.budget.predicted_training_minutes
    known = [f"{in_words(took / 3600)} by its logs"] if took else []
    known += [f"{in_words(planned / 60)} by the plan"] if planned else []
    hours = took / 3600 or (planned or 0.0) / 60
    return (
        f"networks are trained on {len(smaller)} subsets of all {len(splits.folds)} folds, {share:g} times what "
        f"training took ({' and '.join(known) or 'not known'}): about {in_words(share * hours)}; what is trained is "
        "kept, and run again it continues"
    )
