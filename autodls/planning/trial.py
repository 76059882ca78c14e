"""A plan that is made on a GPU is tried there: its step is measured, and made smaller where it does not fit."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from autodls.errors import PlanError
from autodls.planning.decision import Card, Resources, Situation, Step, StepCost
from autodls.planning.memory import TrainingLoad, cohort_gib, memory_parts_gib
from autodls.planning.rules_training import MEMORY_SHARE

_LESS = 0.9


@dataclass(frozen=True)
class Trial:
    """What the step of a plan costs on a card; `too_large` are the steps that did not fit before it."""

    card: str
    step: Step
    cost: StepCost
    too_large: tuple[Step, ...] = ()


def training_load(situation: Situation, step_gib: float | None = None) -> TrainingLoad:
    """What training the plan means for the memory; `step_gib`: as measured, in the place of arithmetic."""
    fingerprint = situation.fingerprint
    sequences = len(fingerprint.sequences)
    return TrainingLoad(
        encoder=situation["network.encoder"],
        input_px=situation["preprocessing.input_size_px"],
        batch_size=situation["training.batch_size"],
        precision=situation["training.precision"],
        device=situation.resources.device,
        cohort_gib=cohort_gib(
            fingerprint.samples,
            sequences,
            situation["preprocessing.slice_size_px"],
            roi_guided=situation["network.roi_guided"],
        ),
        cases=situation.inner_training_samples,
        sequences=sequences,
        fine_tuned=situation["training.fine_tuning_epochs"] > 0,
        step_gib=step_gib,
        roi_guided=situation["network.roi_guided"],
        optimizer=situation["training.optimizer"],
        frozen=situation["network.encoder_frozen"],
    )


def fit_to_card(decide: Callable[[Resources], Situation], resources: Resources) -> tuple[Situation, Trial | None]:
    """What `decide` makes of the resources, tried on their card; of less memory, where the card does not hold that.

    Without a card there is no trial. Raises PlanError where nothing fits that `decide` may choose.
    """
    situation, card = decide(resources), resources.card
    too_large: list[Step] = []
    while card is not None:
        step = _step(situation)
        if step in too_large:
            raise _nothing_fits(card, step)
        cost = card.cost_of(step)
        if cost is not None and _needed_gib(situation, cost) <= resources.memory_gib:
            return situation, Trial(card.name, step, cost, tuple(too_large))
        too_large.append(step)
        try:
            situation = decide(replace(resources, memory_gib=_less_gib(situation)))
        except PlanError:
            raise _nothing_fits(card, step) from None
    return situation, None


def _nothing_fits(card: Card, step: Step) -> PlanError:
    return PlanError(
        f"{card.name}: a batch of {step.batch_size} at {step.input_px} px does not fit its free memory, or "
        f"--memory-gib, and the plan may choose no smaller one; end what else runs there, let training.batch_size and "
        f"preprocessing.input_size_px be derived, or take --device cpu"
    )


def _less_gib(situation: Situation) -> float:
    """A budget whose share for training is less than what the plan was predicted to need, and did not fit with."""
    return _LESS * sum(memory_parts_gib(training_load(situation)).values()) / MEMORY_SHARE


def _step(situation: Situation) -> Step:
    """The largest step of the plan: a fold may have fewer cases than a batch."""
    return Step(
        situation["network.encoder"],
        situation["preprocessing.input_size_px"],
        min(situation["training.batch_size"], situation.inner_training_cases),
        situation["training.precision"],
        situation["training.optimizer"],
        situation["network.roi_guided"],
    )


def _needed_gib(situation: Situation, cost: StepCost) -> float:
    """With what was reserved for the step, and not only what its tensors held."""
    return sum(memory_parts_gib(training_load(situation, cost.reserved_gib)).values())
