"""From fingerprint, preset and resources to the plan, with a reason for every value."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from autodls.errors import PlanError
from autodls.planning.decision import Decision, Resources, Situation
from autodls.planning.expectation import expect
from autodls.planning.presets import Preset
from autodls.planning.rules import RULES
from autodls.planning.rules_budget import budget, require_memory
from autodls.planning.rules_lesions import lesions
from autodls.planning.rules_network import too_many_dims
from autodls.planning.rules_training import FEWEST_OF_A_CLASS
from autodls.planning.trial import fit_to_card
from autodls.records.fingerprint import Fingerprint
from autodls.records.plan import Plan

_INTENSITY = "preprocessing.intensity"
_SECTIONS = ("preprocessing", "network", "training", "segmentation", "budget")


def derive_plan(
    fingerprint: Fingerprint,
    preset: Preset,
    resources: Resources,
    encoder_weights: str | None = None,
    encoder: str | None = None,
    *,
    encoder_frozen: bool = False,
) -> Plan:
    """The plan for a training cohort.

    What `preset` gives stands, and `encoder_weights`, `encoder` and `encoder_frozen` over it; every other value is
    derived by its rule. The result depends on nothing else, but for the time and memory that a card of `resources`
    measures. Raises PlanError where the cohort is too small, the memory too little, or given values do not go together.
    """

    asked: dict[str, Any] = {
        "network.encoder_weights": encoder_weights,
        "network.encoder": encoder,
        "network.encoder_frozen": encoder_frozen or None,
    }

    def decide(resources: Resources) -> Situation:
        return _decide(Situation(fingerprint, resources, _given(fingerprint, preset, asked)), preset)

    situation, trial = fit_to_card(decide, resources)
    decided = {**situation.decided, **_many_dims(situation, preset), **_roi_channel(fingerprint)}
    decided |= lesions(fingerprint)
    decided |= budget(situation, trial)
    expectation = expect(fingerprint, situation["training.folds"])
    content = _nested({name: decision.value for name, decision in decided.items()})
    parsed = Plan.parse(
        {
            "dataset": fingerprint.dataset,
            "preset": preset.name,
            "fingerprint_sha256": fingerprint.sha256(),
            **content,
            "expectation": expectation,
            "reasons": _reasons(decided) | {"expectation": expectation.statement},
        },
        f"preset {preset.name}",
        "correct what the preset or the command line gives",
    )
    return parsed.with_derived()


def _decide(situation: Situation, preset: Preset) -> Situation:
    """The situation with every field decided that a preset may give."""
    decided = dict(situation.decided)
    situation = replace(situation, decided=decided)
    for name, rule in RULES.items():
        if name not in decided:
            decision = rule(situation)
            note = f" {preset.notes[name]}" if name in preset.notes else ""
            decided[name] = Decision(decision.value, decision.reason + note)
    _require_patients(situation)
    require_memory(situation, preset.name)
    return situation


def _given(fingerprint: Fingerprint, preset: Preset, asked: Mapping[str, Any]) -> dict[str, Decision]:
    decided = {}
    for name, value in preset.values.items():
        note = f" {preset.notes[name]}" if name in preset.notes else ""
        decided[name] = Decision(value, f"Given by preset {preset.name}.{note}")
    if _INTENSITY in decided:
        same, reason = decided[_INTENSITY].value, decided[_INTENSITY].reason
        decided[_INTENSITY] = Decision(dict.fromkeys(fingerprint.sequences, same), reason)
    for name, value in asked.items():
        if value is not None:
            decided[name] = Decision(value, "Given on the command line.")
    return decided


def _require_patients(situation: Situation) -> None:
    """Given folds pass no rule, so the cohort is looked at again."""
    rarer, folds = situation.rarer_patients, situation["training.folds"]
    if rarer < max(folds, FEWEST_OF_A_CLASS):
        raise PlanError(
            f"dataset {situation.fingerprint.dataset}: {rarer} training patients of the rarer class, but "
            f"{folds} folds need at least {max(folds, FEWEST_OF_A_CLASS)}; give fewer folds, or add patients"
        )


def _many_dims(situation: Situation, preset: Preset) -> dict[str, Decision]:
    """Given components pass no rule, so they are held against the patients: they stand, and the plan says it."""
    name, patients = "network.pca_dims", situation.inner_training_patients
    if name not in preset.values or situation[name] < patients:
        return {}
    given = situation.decided[name]
    return {name: Decision(given.value, f"{given.reason} {too_many_dims(patients)}")}


def _roi_channel(fingerprint: Fingerprint) -> dict[str, Decision]:
    reason = "The sequence that the ROI was drawn on, by dataset.json."
    return {"preprocessing.roi_channel": Decision(fingerprint.roi_channel, reason)}


def _nested(flat: dict[str, Any]) -> dict[str, Any]:
    """Fields by dotted name as nested objects.

    >>> _nested({"a.b": 1, "a.c.d": 2})
    {'a': {'b': 1, 'c': {'d': 2}}}
    """
    content: dict[str, Any] = {}
    for name, value in flat.items():
        *path, field = name.split(".")
        record = content
        for part in path:
            record = record.setdefault(part, {})
        record[field] = value
    return content


def _reasons(decided: dict[str, Decision]) -> dict[str, str]:
    """The reasons in the order of the plan's sections."""
    return {
        name: decision.reason
        for section in _SECTIONS
        for name, decision in decided.items()
        if name.startswith(f"{section}.")
    }
