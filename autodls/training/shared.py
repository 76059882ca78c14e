"""Encoders that another experiment has trained from the same: taken over, not trained again."""

from collections.abc import Iterator, Mapping, Sequence

from autodls.errors import ModelFolderError
from autodls.records.case import Case
from autodls.records.files import link_or_copy, sha256_of_file
from autodls.records.model_folders import FoldFolder
from autodls.records.plan import Plan
from autodls.records.splits import Splits
from autodls.records.tensors import read_note
from autodls.records.workspace import Workspace
from autodls.training.keys import StageKeys, stage_keys
from autodls.training.stage_log import StageLog
from autodls.training.weights import start_sha256


def take_encoders(
    workspace: Workspace,
    cases: Sequence[Case],
    plan: Plan,
    splits: Splits,
    folds: Sequence[int],
    sample_keys: Mapping[str, str],
) -> list[str]:
    """Give encoders of `beside` that have the keys of those missing here a second name, with their lines of the log.

    What was taken from where, one line a fold. Weights that are not those that the fusion beside them was fitted on are
    left where they are.
    """
    if not workspace.beside:
        return []
    keys = stage_keys(sample_keys, cases, plan, splits, start_sha256(plan.network.encoder_weights))
    lines = []
    for index in folds:
        taken = list(_of_fold(workspace, plan, index, keys[index]))
        if taken:
            lines.append(f"fold {index}: {'; '.join(taken)}, trained from the same: not trained again")
    return lines


def _of_fold(workspace: Workspace, plan: Plan, index: int, keys: StageKeys) -> Iterator[str]:
    folder = workspace.fold(index)
    for name in plan.sequences:
        if folder.sequence(name).exists():
            continue
        for other in workspace.beside:
            there = other.fold(index)
            if _is_of(there, name, keys.of[name]):
                StageLog(folder.log).take(there.log, name)
                link_or_copy(there.sequence(name), folder.sequence(name))
                yield f"{name} of {there.root}"
                break


def _is_of(folder: FoldFolder, name: str, key: str) -> bool:
    """Whether the encoder of `name` in `folder` has this `key`, and is the one that its fusion, if any, knows."""
    if not folder.sequence(name).is_file():
        return False
    try:
        if read_note(folder.sequence(name)).get("key") != key:
            return False
        known = read_note(folder.fusion).get("encoders") if folder.fusion.is_file() else None
    except ModelFolderError:
        return False
    return not isinstance(known, dict) or known.get(name) == sha256_of_file(folder.sequence(name))
