"""From fingerprint, preset and resources to the plan, with a reason for every value."""

from typing import Any

from autodls.errors import PlanError
from autodls.planning.decision import Decision, Resources, Situation
from autodls.planning.duration import Schedule, predicted_training_minutes, throughput_gflops
from autodls.planning.expectation import expect
from autodls.planning.memory import TrainingLoad, cohort_gib, memory_parts_gib
from autodls.planning.presets import Preset
from autodls.planning.rules import RULES, too_many_dims
from autodls.planning.rules_training import FEWEST_OF_A_CLASS
from autodls.records.fingerprint import Fingerprint
from autodls.records.plan import Plan

_INTENSITY = "preprocessing.intensity"
_SECTIONS = ("preprocessing", "network", "training", "segmentation", "budget")


def derive_plan(
    fingerprint: Fingerprint, preset: Preset, resources: Resources, encoder_weights: str | None = None
) -> Plan:
    """The plan for a training cohort.

    What `preset` gives stands, and `encoder_weights` over it; every other value is derived by its rule. The result
    depends on nothing else. Raises PlanError where the cohort is too small, the memory too little, or given values do
    not go together.
    """
    decided = _given(fingerprint, preset, encoder_weights)
    situation = Situation(fingerprint, resources, decided)
    for name, rule in RULES.items():
        if name not in decided:
            decision = rule(situation)
            note = f" {preset.notes[name]}" if name in preset.notes else ""
            decided[name] = Decision(decision.value, decision.reason + note)
    _require_cases(situation)
    decided |= _many_dims(situation, preset)
    decided |= _roi_channel(fingerprint) | _memory(situation, preset) | _minutes(situation)
    expectation = expect(fingerprint, situation["training.folds"])
    content = _nested({name: decision.value for name, decision in decided.items()})
    return Plan.parse(
        {
            "dataset": fingerprint.dataset,
            "preset": preset.name,
            "fingerprint_sha256": fingerprint.sha256(),
            **content,
            "expectation": expectation,
            "reasons": _reasons(decided) | {"expectation": expectation.statement},
        },
        f"preset {preset.name}",
        "correct the values that the preset gives",
    )


def _given(fingerprint: Fingerprint, preset: Preset, encoder_weights: str | None) -> dict[str, Decision]:
    decided = {}
    for name, value in preset.values.items():
        note = f" {preset.notes[name]}" if name in preset.notes else ""
        decided[name] = Decision(value, f"Given by preset {preset.name}.{note}")
    if _INTENSITY in decided:
        same, reason = decided[_INTENSITY].value, decided[_INTENSITY].reason
        decided[_INTENSITY] = Decision(dict.fromkeys(fingerprint.sequences, same), reason)
    if encoder_weights is not None:
        decided["network.encoder_weights"] = Decision(encoder_weights, "Given on the command line.")
    return decided


def _require_cases(situation: Situation) -> None:
    """Given folds pass no rule, so the cohort is looked at again."""
    rarer, folds = situation.rarer_cases, situation["training.folds"]
    if rarer < max(folds, FEWEST_OF_A_CLASS):
        raise PlanError(
            f"dataset {situation.fingerprint.dataset}: {rarer} training cases of the rarer class, but {folds} folds "
            f"need at least {max(folds, FEWEST_OF_A_CLASS)}; give fewer folds, or add cases"
        )


def _many_dims(situation: Situation, preset: Preset) -> dict[str, Decision]:
    """Given components pass no rule, so the cases are looked at again: they stand, and the plan says what they are."""
    name, cases = "network.pca_dims", situation.inner_training_cases
    if name not in preset.values or situation[name] < cases:
        return {}
    given = situation.decided[name]
    return {name: Decision(given.value, f"{given.reason} {too_many_dims(cases)}")}


def _roi_channel(fingerprint: Fingerprint) -> dict[str, Decision]:
    reason = "The sequence that the ROI was drawn on, by dataset.json."
    return {"preprocessing.roi_channel": Decision(fingerprint.roi_channel, reason)}


def _memory(situation: Situation, preset: Preset) -> dict[str, Decision]:
    fingerprint, resources = situation.fingerprint, situation.resources
    batch, size_px = situation["training.batch_size"], situation["preprocessing.input_size_px"]
    samples = cohort_gib(fingerprint.cases, len(fingerprint.sequences), situation["preprocessing.slice_size_px"])
    encoder, precision = situation["network.encoder"], situation["training.precision"]
    parts = memory_parts_gib(
        TrainingLoad(
            encoder,
            size_px,
            batch,
            precision,
            resources.device,
            samples,
            situation.inner_training_cases,
            len(fingerprint.sequences),
            situation["training.fine_tuning_epochs"] > 0,
        )
    )
    total = sum(parts.values())
    if total > resources.memory_gib:
        raise PlanError(
            f"preset {preset.name}: a batch of {batch} at {size_px} px needs {total:.3g} GiB, the budget is "
            f"{resources.memory_gib:.3g} GiB; raise --memory-gib, or let training.batch_size or "
            f"preprocessing.input_size_px be derived (--preset auto)"
        )
    listed = ", ".join(f"{part} {size:.2f}" for part, size in parts.items())
    checked = resources.device == "cpu" and precision == "fp32"
    trust = "checked against real processes to 15 %" if checked else "arithmetic, not checked on such a device"
    return {
        "budget.memory_gib": Decision(resources.memory_gib, "What this plan may use of the device's memory."),
        "budget.predicted_memory_gib": Decision(
            round(total, 2), f"For a batch of {batch} at {size_px} px, in GiB: {listed}; {trust}."
        ),
    }


def _minutes(situation: Situation) -> dict[str, Decision]:
    resources = situation.resources
    size_px, precision = situation["preprocessing.input_size_px"], situation["training.precision"]
    epochs = situation["training.epochs"] + situation["training.fine_tuning_epochs"]
    folds = situation["training.folds"]
    gflops = throughput_gflops(resources.device, resources.cores, precision, size_px)
    cases = [sequence.cases for sequence in situation.fingerprint.sequences.values()]
    schedule = Schedule(epochs, folds, situation["training.inner_holdout"])
    minutes = predicted_training_minutes(situation["network.encoder"], size_px, schedule, cases, gflops)
    where = "a GPU" if situation.on_gpu else f"{resources.cores} CPU cores"
    trust = (
        "assumed, not measured"
        if situation.on_gpu or precision == "bf16"
        else "as measured on two cores of an AMD EPYC with Zen 3; older ones take up to twice as long"
    )
    return {
        "budget.device": Decision(resources.device, f"Training is planned for {where}."),
        "budget.predicted_training_minutes": Decision(
            max(0.1, round(minutes, 1)),
            f"{len(cases)} encoders in each of {folds} folds, {epochs} epochs were none to stop early, at "
            f"{gflops:,.0f} GFLOP/s on {where} ({trust}).",
        ),
    }


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
