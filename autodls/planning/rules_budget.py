"""What a plan takes of memory and time, and how that is known."""

from dataclasses import replace

from autodls.errors import PlanError
from autodls.planning.decision import Decision, Situation
from autodls.planning.duration import (
    THROUGHPUTS,
    Schedule,
    measured_training_minutes,
    predicted_fusion_minutes,
    predicted_training_minutes,
    throughput_gflops,
)
from autodls.planning.memory import memory_parts_gib, step_parts_gib
from autodls.planning.trial import Trial, training_load
from autodls.records.encoders import encoder_stride_px


def require_memory(situation: Situation, preset: str) -> None:
    """Raise PlanError where the plan, by arithmetic, needs more memory than there is: given values pass no rule."""
    needed = sum(memory_parts_gib(training_load(situation)).values())
    if needed > situation.resources.memory_gib:
        batch, size_px = situation["training.batch_size"], situation["preprocessing.input_size_px"]
        raise PlanError(
            f"preset {preset}: a batch of {batch} at {size_px} px needs {needed:.3g} GiB, the budget is "
            f"{situation.resources.memory_gib:.3g} GiB; raise --memory-gib, or let training.batch_size or "
            f"preprocessing.input_size_px be derived (--preset auto)"
        )


def budget(situation: Situation, trial: Trial | None) -> dict[str, Decision]:
    """The fields of the plan's budget; as measured where there was a trial."""
    decided = _memory(situation, trial) | _minutes(situation, trial)
    if trial is not None:
        reason = "The GPU that was here when the plan was made, on which a few steps of it were tried."
        decided["budget.measured_on"] = Decision(trial.card, reason)
    return decided


def _memory(situation: Situation, trial: Trial | None) -> dict[str, Decision]:
    resources = situation.resources
    batch, size_px = situation["training.batch_size"], situation["preprocessing.input_size_px"]
    load = training_load(situation, trial.cost.allocated_gib if trial else None)
    parts = memory_parts_gib(load)
    listed = ", ".join(f"{part} {size:.2f}" for part, size in parts.items())
    may = "What this plan may use of the device's memory"
    if trial is not None and trial.too_large:
        tried = ", ".join(f"a batch of {step.batch_size} at {step.input_px} px" for step in trial.too_large)
        may += f": on {trial.card} there was none for {tried}"
    if trial is not None:
        arithmetic = step_parts_gib(replace(load, batch_size=trial.step.batch_size))
        trust = (
            f"measured on {trial.card}: fitting one encoder to {trial.step.batch_size} cases at once allocates "
            f"{trial.cost.allocated_gib:.2f} and reserves {trial.cost.reserved_gib:.2f}, where arithmetic gives "
            f"{sum(arithmetic.values()):.2f}"
        )
    elif resources.device == "cpu" and load.precision == "fp32":
        trust = "checked against real processes to 15%"
    else:
        trust = "arithmetic, not checked on such a device"
    return {
        "budget.memory_gib": Decision(resources.memory_gib, f"{may}."),
        "budget.predicted_memory_gib": Decision(
            round(sum(parts.values()), 2), f"For a batch of {batch} at {size_px} px, in GiB: {listed}; {trust}."
        ),
    }


def _minutes(situation: Situation, trial: Trial | None) -> dict[str, Decision]:
    frozen = situation["network.encoder_frozen"]
    epochs = situation["training.fine_tuning_epochs"] + (0 if frozen else situation["training.epochs"])
    folds = situation["training.folds"]
    cases = [sequence.cases for sequence in situation.fingerprint.sequences.values()]
    schedule = Schedule(epochs, folds, situation["training.inner_holdout"])
    where = "a GPU" if situation.on_gpu else f"{situation.resources.cores} CPU cores"
    if trial is None:
        device, precision, cores = (
            situation.resources.device,
            situation["training.precision"],
            situation.resources.cores,
        )
        encoder, size_px = situation["network.encoder"], situation["preprocessing.input_size_px"]
        gflops = throughput_gflops(device, cores, precision, size_px)
        minutes = predicted_training_minutes(
            encoder, size_px, schedule, cases, gflops, roi_guided=situation["network.roi_guided"], frozen=frozen
        )
        minutes += _fusion_minutes(situation, schedule, gflops)
        speed = f"{gflops:,.0f} GFLOP/s on {where} ({THROUGHPUTS[device, precision].trust}), the fusion included"
    else:
        seconds, batch = trial.cost.seconds, trial.step.batch_size
        minutes = measured_training_minutes(seconds, batch, schedule, cases)
        speed = (
            f"{1000 * seconds:.3g} ms a step of {batch} cases, measured on {trial.card}; augmentation, fusion, "
            f"reading and writing come on top"
        )
    fitted = f"{len(cases)} encoders in each of {folds} folds"
    if frozen:
        fitted = f"Features of {len(cases)} sequences, once for all folds, and fine-tuning"
    return {
        "budget.device": Decision(situation.resources.device, f"Training is planned for {where}."),
        "budget.predicted_training_minutes": Decision(
            max(0.1, round(minutes, 1)),
            f"{fitted}, {epochs} epochs were none to stop early, at {speed}.",
        ),
    }


def _fusion_minutes(situation: Situation, schedule: Schedule, gflops: float) -> float:
    fingerprint, patch = situation.fingerprint, situation["network.fusion.patch_px"]
    cells = -(-situation["preprocessing.input_size_px"] // encoder_stride_px(situation["network.encoder"]))
    width = len(fingerprint.sequences) * situation["network.pca_dims"] * patch**2
    layers, epochs = situation["network.fusion.layers"], situation["training.fusion_epochs"]
    tokens = max(1, cells // patch) ** 2
    return predicted_fusion_minutes(tokens, width, layers, epochs, schedule, fingerprint.cases, gflops)
