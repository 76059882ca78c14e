"""Whether a plan, as a person may have edited it, still fits the memory that it was made for."""

from autodls.errors import PlanError
from autodls.planning.decision import inner_training_cases
from autodls.planning.memory import TrainingLoad, cohort_gib, predicted_memory_gib
from autodls.records.plan import Plan


def planned_memory_gib(plan: Plan, cases: int, samples: int | None = None) -> float:
    """Predicted peak memory in GiB of training `plan` on a cohort of `cases`; of `samples`, where lesions have one."""
    samples = samples or cases
    training, preprocessing, sequences = plan.training, plan.preprocessing, len(plan.sequences)
    return predicted_memory_gib(
        TrainingLoad(
            encoder=plan.network.encoder,
            input_px=preprocessing.input_size_px,
            batch_size=min(training.batch_size, cases),
            precision=training.precision,
            device=plan.budget.device,
            cohort_gib=cohort_gib(samples, sequences, preprocessing.slice_size_px, roi_guided=plan.network.roi_guided),
            cases=inner_training_cases(samples, training.folds, training.inner_holdout),
            sequences=sequences,
            fine_tuned=training.fine_tuning_epochs > 0,
            roi_guided=plan.network.roi_guided,
            optimizer=training.optimizer,
        )
    )


def require_budget(plan: Plan, cases: int, samples: int | None = None) -> None:
    """Raise PlanError where training `plan` would need more memory than its budget; see `planned_memory_gib`."""
    needed, budget = planned_memory_gib(plan, cases, samples), plan.budget.memory_gib
    if needed > budget:
        raise PlanError(
            f"plan.json: a batch of {plan.training.batch_size} at {plan.preprocessing.input_size_px} px needs "
            f"{needed:.3g} GiB, budget.memory_gib is {budget:.3g}; lower training.batch_size or "
            f"preprocessing.input_size_px, or raise budget.memory_gib where the machine has more"
        )
