"""The chain of hashes inside a fold's folder: encoders -> fusion -> scores.

A fusion names the encoders that it was fitted on, `fold.json` all weights and the scores that they gave. The record is
written before the scores: whatever a killed run leaves, scores are only believed where both fit.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType

from autodls.errors import ModelFolderError, StaleRecordError
from autodls.records.files import sha256_of_bytes, sha256_of_file, write_bytes
from autodls.records.model_folders import FoldFolder
from autodls.records.plan import Plan
from autodls.records.scores import FoldRecord, FoldScore, fold_scores_csv
from autodls.records.tensors import read_note
from autodls.training.keys import FINE_TUNING, StageKeys

_RESTART = "run 'autodls train fold {fold} --restart' to train it anew"


def weight_hashes(folder: FoldFolder, plan: Plan) -> dict[str, str]:
    """SHA-256 of the weights that lie in `folder`, of all stages of `plan`, by their name there."""
    parts = [folder, folder.fine_tuned] if plan.training.fine_tuning_epochs else [folder]
    paths = [part.sequence(stage) for part in parts for stage in (*plan.sequences, "fusion")]
    found = [path for path in paths if path.is_file()]
    with ThreadPoolExecutor() as pool:  # hashing leaves Python's lock alone
        hashes = pool.map(sha256_of_file, found)
        return {path.relative_to(folder.root).as_posix(): sha256 for path, sha256 in zip(found, hashes, strict=True)}


def altered_encoders(folder: FoldFolder, fused: FoldFolder, plan: Plan, weights: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with encoders of `fused`, which is `folder` or its fine-tuned part, for the fusion beside them.

    `weights` are the `weight_hashes` of `folder`; a fault names the file, what was found and what expected.
    """
    noted = read_note(fused.fusion).get("encoders")
    for name in plan.sequences:
        path = fused.sequence(name)
        found = weights.get(path.relative_to(folder.root).as_posix(), "missing")
        expected = noted.get(name) if isinstance(noted, dict) else None
        if found != expected:
            yield f"{path}: SHA-256 is {found[:12]}, the fusion beside it was fitted on {str(expected)[:12]}"


def altered_weights(folder: FoldFolder, record: FoldRecord, weights: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with the weights in `folder`, by their `record`."""
    for name in sorted(record.weights.keys() | weights.keys()):
        found, scored = weights.get(name, "missing"), record.weights.get(name, "none")
        if found != scored:
            yield f"{folder.root / name}: SHA-256 is {found[:12]}, the fold was scored with {scored[:12]}"


def require_encoders(folder: FoldFolder, fused: FoldFolder, plan: Plan, fold: int, weights: Mapping[str, str]) -> None:
    """Raise StaleRecordError where an encoder is not the one that its fusion was fitted on."""
    for fault in altered_encoders(folder, fused, plan, weights):
        raise StaleRecordError(f"{fault}; {_RESTART.format(fold=fold)}")


def is_scored(folder: FoldFolder, keys: StageKeys, fold: int, weights: Mapping[str, str]) -> bool:
    """Whether the scores in `folder` are those of `weights`.

    Without a record, or with other scores than it names, the fold is to be scored again. Raises StaleRecordError where
    the weights are not those that the record names: they are no result of training.
    """
    try:
        record = FoldRecord.load(folder.record, "", ModelFolderError)
    except ModelFolderError:
        return False
    if not keys.fits_scores(record.key):
        return False
    for fault in altered_weights(folder, record, weights):
        raise StaleRecordError(f"{fault}; {_RESTART.format(fold=fold)}")
    return folder.scores.is_file() and sha256_of_file(folder.scores) == record.scores_sha256


def write_scores(
    folder: FoldFolder,
    scores: Sequence[FoldScore],
    plan: Plan,
    key: str,
    weights: Mapping[str, str],
    not_learnt: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Write the scores of a fold, and before them what they were made from; `not_learnt` is that of `FoldRecord`."""
    content = fold_scores_csv(scores, plan.sequences).encode()
    sha256 = sha256_of_bytes(content)
    record = FoldRecord(key=key, weights=dict(weights), scores_sha256=sha256, not_learnt=dict(not_learnt))
    if not folder.record.is_file() or folder.record.read_bytes() != record.to_bytes():
        record.save(folder.record)
    write_bytes(folder.scores, content)


def unused_stages(folder: FoldFolder, weights: Mapping[str, str]) -> tuple[str, ...]:
    """Stages whose weights give no score: a fine-tuning that was of no use left the encoders before it in place."""
    fine_tuned = folder.fine_tuned.root.relative_to(folder.root)
    before = {name: sha256 for name, sha256 in weights.items() if "/" not in name and name != folder.fusion.name}
    unused = all(weights.get((fine_tuned / name).as_posix()) == sha256 for name, sha256 in before.items())
    return (FINE_TUNING,) if unused else ()
