"""What the weights of each stage of a fold are derived from, as one SHA-256 a stage.

A key holds the settings that first matter to its stage, and the keys of the stages before it. So a change of the fusion
leaves the encoders' keys as they are, and a change of the cut-off all of them. A setting that nobody has placed here is
taken to concern the encoders, and with them everything.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from pydantic import JsonValue

from autodls.preprocessing.store import load_summary
from autodls.records.case import Case
from autodls.records.files import sha256_of_bytes
from autodls.records.plan import Plan
from autodls.records.splits import Splits
from autodls.records.workspace import Workspace

_FROZEN, _LESIONS = "encoder_frozen", "lesions"
FUSION, FINE_TUNING = "fusion", "fine-tuning"
Stage = Literal["encoder", "fusion", "fine-tuning", "lock"]
STAGES: tuple[Stage, ...] = ("encoder", "fusion", "fine-tuning", "lock")

# The first stage that each setting matters to; it is in the keys of all that follow. What no weight depends on is of
# "lock": the plan travels with the model. Automatic ROIs, and so `segmentation`, are in the keys of the samples.
_ENCODER = (
    "preprocessing.roi_channel", "preprocessing.registration", "preprocessing.spacing_mm", "preprocessing.crop_mm",
    "preprocessing.slice_size_px", "preprocessing.input_size_px", "preprocessing.intensity", "preprocessing.lesions",
    "network.encoder", "network.encoder_frozen", "network.roi_guided", "network.encoder_weights",
    "training.folds", "training.batch_size", "training.epochs", "training.kept_epoch", "training.patience",
    "training.optimizer", "training.learning_rate", "training.loss", "training.focal_gamma", "training.focal_alpha",
    "training.precision", "training.seed", "training.momentum", "training.weight_decay", "training.warmup_epochs",
    "training.batch_norm_momentum", "training.encoder_dropout", "training.inner_holdout", "training.augmentation",
    "budget.device",
)  # fmt: skip
_FUSION = (
    "network.pca_dims", "network.fusion.patch_px", "network.fusion.heads", "network.fusion.layers",
    "network.fusion.dropout", "network.fusion.fallback",
    "training.fusion_epochs", "training.fusion_learning_rate", "training.sequence_dropout",
)  # fmt: skip
_FINE_TUNING = ("training.fine_tuning_epochs", "training.fine_tuning_learning_rate")
_LOCK = (
    "format", "dataset", "preset", "fingerprint_sha256", "reasons", "derived",
    "training.cutoff",
    "segmentation.planner", "segmentation.configuration", "segmentation.epochs", "segmentation.iterations_per_epoch",
    "segmentation.mask.components", "segmentation.mask.lower_threshold", "segmentation.mask.least_confidence",
    "segmentation.mask.least_volume_mm3", "segmentation.mask.most_disagreement",
    "segmentation.noninferiority_margin_auc",
    "budget.memory_gib", "budget.predicted_memory_gib", "budget.predicted_training_minutes", "budget.measured_on",
    "expectation.positives", "expectation.negatives", "expectation.rarer_class_per_fold", "expectation.assumed_auc",
    "expectation.auc_ci_half_width", "expectation.design_effect", "expectation.statement",
)  # fmt: skip
FIRST_STAGE: Mapping[str, Stage] = MappingProxyType(
    {
        name: stage
        for stage, names in zip(STAGES, (_ENCODER, _FUSION, _FINE_TUNING, _LOCK), strict=True)
        for name in names
    }
)


@dataclass(frozen=True)
class StageKeys:
    """The key of each stage of one fold, by its name there and in their order.

    `before` is the one key that older versions gave to all stages: weights that carry it fit as well.
    """

    of: Mapping[str, str]
    before: str | None = None

    @property
    def scores(self) -> str:
        """The key of what the scores come from: the last stage."""
        return tuple(self.of.values())[-1]

    def fits(self, stage: str, found: object) -> bool:
        """Whether weights of `stage` that carry the key `found` are those of this plan."""
        return found is not None and found in (self.of[stage], self.before)

    def fits_scores(self, found: str) -> bool:
        """The same for scores."""
        return found in (self.scores, self.before)


def one_key(plan: Plan, key: str) -> StageKeys:
    """The same `key` for every stage, for folds that nobody continues."""
    return StageKeys(dict.fromkeys((*plan.sequences, FUSION, FINE_TUNING), key))


def is_of_older_version(key: object) -> bool:
    """Whether a key is one for all stages, of a version that did not tell them apart.

    >>> is_of_older_version("0" * 64), is_of_older_version("fusion:" + "0" * 64)
    (True, False)
    """
    return isinstance(key, str) and ":" not in key


def short_key(key: object) -> str:
    """The first digits of a key, for a line that a person reads.

    >>> short_key("fusion:0123456789abcdef"), short_key(None)
    ('01234567', 'None')
    """
    return str(key).rpartition(":")[2][:8]


def stage_keys(
    sample_keys: Mapping[str, str], cases: Sequence[Case], plan: Plan, splits: Splits, start_sha256: str | None
) -> tuple[StageKeys, ...]:
    """The keys of every fold of `splits`.

    `sample_keys` are those of the samples of `cases`, "" where there is none; `start_sha256` is that of the file that
    encoders start from, if one is named. Its path is not in the keys.
    """
    content = {stage: settings_of(plan, stage) for stage in STAGES}
    if not plan.network.encoder_frozen:
        del content["encoder"][f"network.{_FROZEN}"]  # as in keys of versions that did not have it
    if plan.preprocessing.lesions is None:
        del content["encoder"][f"preprocessing.{_LESIONS}"]
    if start_sha256 is not None:
        content["encoder"]["network.encoder_weights"] = start_sha256
    samples = _samples(sample_keys, cases)
    before = _one_for_all(samples, plan, splits, start_sha256)
    of_all = [splits.sha256(), *samples]
    found = []
    for fold in splits.folds:
        keys = {name: _key("encoder", [fold.index, name, content["encoder"], of_all]) for name in plan.sequences}
        keys[FUSION] = _key(FUSION, [list(keys.items()), content["fusion"]])
        if plan.training.fine_tuning_epochs:
            keys[FINE_TUNING] = _key(FINE_TUNING, [keys[FUSION], content["fine-tuning"]])
        found.append(StageKeys(keys, before))
    return tuple(found)


def stored_sample_keys(workspace: Workspace, cases: Sequence[Case]) -> dict[str, str]:
    """The keys of the samples that lie in `workspace`, by case; "" where there is none that can be read."""
    summaries = {case.id: load_summary(workspace.sample(case.id)) for case in cases}
    return {case: summary[0] if summary else "" for case, summary in summaries.items()}


def settings_of(plan: Plan, stage: Stage) -> dict[str, JsonValue]:
    """The settings of `plan` that first matter to `stage`, by dotted name."""
    content = plan.model_dump(mode="json")
    content["network"][_FROZEN] = plan.network.encoder_frozen  # plans of older versions are written without it
    content["preprocessing"].setdefault(_LESIONS, None)
    return {name: value for name, value in _settings(content) if FIRST_STAGE.get(name, "encoder") == stage}


def changed_settings(before: Plan, after: Plan) -> dict[Stage, dict[str, tuple[JsonValue, JsonValue]]]:
    """What two plans differ by: (old, new) by dotted name, by the stage that the setting first matters to."""
    changed: dict[Stage, dict[str, tuple[JsonValue, JsonValue]]] = {}
    for stage in STAGES:
        old, new = settings_of(before, stage), settings_of(after, stage)
        names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
        if names:
            changed[stage] = {name: (old.get(name), new.get(name)) for name in names}
    return changed


def _settings(content: Mapping[str, JsonValue], prefix: str = "") -> Iterator[tuple[str, JsonValue]]:
    for field, value in content.items():
        name = f"{prefix}{field}"
        if isinstance(value, dict) and name not in FIRST_STAGE:
            yield from _settings(value, f"{name}.")
        else:
            yield name, value


def _samples(sample_keys: Mapping[str, str], cases: Sequence[Case]) -> list[str]:
    return [f"{case.id}:{sample_keys[case.id]}:{case.label}" for case in sorted(cases, key=lambda case: case.id)]


def _key(kind: str, content: Sequence[object]) -> str:
    return f"{kind}:{sha256_of_bytes(json.dumps(content, sort_keys=True).encode())}"


def _one_for_all(samples: Sequence[str], plan: Plan, splits: Splits, start_sha256: str | None) -> str:
    """As older versions had it: SHA-256 of plan, splits, weights to start from, and samples."""
    start = [] if start_sha256 is None else [start_sha256]
    return sha256_of_bytes("\n".join([plan.sha256(), splits.sha256(), *start, *samples]).encode())
