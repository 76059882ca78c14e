"""A plan that is there: shown, kept where another replaces it, and not replaced where folds are trained by it."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from autodls.errors import ModelFolderError, PlanError
from autodls.records.files import write_bytes
from autodls.records.model_folders import RoiKind
from autodls.records.plan import Plan
from autodls.records.segmentation import masks_key
from autodls.records.splits import Splits
from autodls.records.workspace import Workspace
from autodls.stages.places import require_trained
from autodls.watch import SILENT, Watch

_KINDS: tuple[RoiKind, ...] = ("manual", "auto")
_APART = {"reasons", "derived", "expectation"}  # what follows from the values
_MOST_NAMED = 3


def refuse_where_trained(workspace: Workspace, plan: Plan, splits: Splits, watch: Watch = SILENT) -> None:
    """Raise PlanError where `plan` or `splits` would replace others by which folds are trained.

    A plan that changes nothing that encoders depend on may: what it changes is told, and trained again by 'train'.
    """
    if not (trained := list(_trained(workspace))):
        return
    if (again := _trained_again(workspace, plan, splits)) is not None:
        for line in again:
            watch.note(line)
        return
    replaced = [
        path.name
        for path, record in ((workspace.plan, plan), (workspace.splits, splits))
        if path.exists() and path.read_bytes() != record.to_bytes()
    ]
    if replaced:
        raise PlanError(
            f"{workspace.root}: {', '.join(trained)} trained by the {' and '.join(replaced)} that would be replaced"
            f"{_differences(workspace.plan, plan)}; keep what is there ('autodls plan --explain' shows it), or begin "
            "anew with 'autodls plan --restart', which throws trained folds and their model away"
        )


def _trained_again(workspace: Workspace, plan: Plan, splits: Splits) -> list[str] | None:
    """What will be trained again, in lines, where all encoders and nnU-Net's folds can be kept; else None."""
    from autodls.training.keys import changed_settings

    try:
        before = Plan.load(workspace.plan, "")
    except PlanError:
        return None
    same_splits = workspace.splits.exists() and workspace.splits.read_bytes() == splits.to_bytes()
    changed = changed_settings(before, plan)
    rois = list(_segmented(workspace)) and masks_key(before, splits) != masks_key(plan, splits)
    if not same_splits or rois or "encoder" in changed or not all(_tell_stages_apart(workspace)):
        return None
    named: dict[str, Mapping[str, tuple[object, object]]] = {
        stage: values for stage, values in changed.items() if stage != "lock"
    }
    cutoff = changed.get("lock", {}).get("training.cutoff")
    if cutoff:
        named["cut-off of the model"] = {"training.cutoff": cutoff}
    return [
        f"{', '.join(f'{name} {old}, now {new}' for name, (old, new) in values.items())}: trained encoders are kept; "
        f"'autodls train fold all' makes the {stage} anew, and what follows from it"
        for stage, values in named.items()
    ]


def _tell_stages_apart(workspace: Workspace) -> Iterator[bool]:
    """Of every weights file of a fold, whether its key is of its stage alone: older versions had one for all."""
    from autodls.records.tensors import read_note  # torch
    from autodls.training.keys import is_of_older_version

    for place in map(workspace.of, _KINDS):
        for path in place.fold(0).root.parent.rglob("*.safetensors"):
            try:
                key = read_note(path).get("key")
            except ModelFolderError:
                yield False
            else:
                yield key is not None and not is_of_older_version(key)


def throw_away(workspace: Workspace, watch: Watch = SILENT) -> None:
    """Throw away folds, out-of-fold scores and model of both kinds of ROI; networks that draw ROIs are kept.

    Raises ArgumentError where a file lies there that is not of ours.
    """
    places = [workspace.of(kind) for kind in _KINDS]
    trained = [folder for place in places for folder in (place.model.root, place.fold(0).root.parent)]
    require_trained(trained)
    for folder in trained:
        shutil.rmtree(folder, ignore_errors=True)
    for place in places:
        place.oof_scores.unlink(missing_ok=True)
    if list(_segmented(workspace)):
        watch.note("what nnU-Net has trained is kept: 'autodls segment fold all' says whether it still fits")


def keep_previous(current: Path, previous: Path, content: bytes, watch: Watch = SILENT) -> None:
    """Keep what `content` will replace at `current` as `previous`, and what is there as the next number beside it.

    A copy is kept, so that a killed run leaves no gap.
    """
    if not current.exists() or (there := current.read_bytes()) == content:
        return
    if previous.exists() and (before := previous.read_bytes()) != there:
        write_bytes(_free(previous), before)
    write_bytes(previous, there)
    watch.note(f"the {current.name} that was there is kept as {previous.name}")


def _free(previous: Path) -> Path:
    """The first neighbour of `previous` that is not there: plan.previous.2.json, plan.previous.3.json, ..."""
    stem, number = previous.with_suffix(""), 2
    while (found := stem.with_name(f"{stem.name}.{number}{previous.suffix}")).exists():
        number += 1
    return found


def _trained(workspace: Workspace) -> Iterator[str]:
    for place in map(workspace.of, _KINDS):
        parent = place.fold(0).root.parent
        if found := sorted({path.relative_to(parent).parts[0] for path in parent.rglob("*.safetensors")}):
            yield f"{parent.relative_to(workspace.root)} {', '.join(found)}"
    if found := sorted(_segmented(workspace)):
        yield f"nnU-Net's folds {', '.join(found)}"


def _segmented(workspace: Workspace) -> Iterator[str]:
    """The folds of nnU-Net that are trained, or begun."""
    folder = workspace.segmentation
    done = (path.stem.removeprefix("fold_") for path in folder.segmenter.root.glob("fold_*.safetensors"))
    begun = (path.name for path in folder.fold(0).parent.glob("*") if path.name.isdecimal())
    yield from {*done, *begun}


def _differences(path: Path, plan: Plan) -> str:
    """The first settings that would change, for the one line of an error."""
    try:
        before = Plan.load(path, "")
    except PlanError:
        return ""
    old, new = (dict(_flat(one.model_dump(mode="json", exclude=_APART))) for one in (before, plan))
    lines = [
        f"{name} {old.get(name)}, would be {new.get(name)}" for name in {**old, **new} if old.get(name) != new.get(name)
    ]
    more = f" and {len(lines) - _MOST_NAMED} more" if len(lines) > _MOST_NAMED else ""
    return f" ({'; '.join(lines[:_MOST_NAMED])}{more})" if lines else ""


def _flat(content: dict[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in content.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
