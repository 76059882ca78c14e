"""What training will do with the folds that are there, said before it begins."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autodls.records.case import Case
from autodls.records.plan import Plan
from autodls.records.splits import Splits
from autodls.records.workspace import Workspace
from autodls.training.keys import stage_keys
from autodls.training.standing import Standing, standing_of
from autodls.training.weights import start_sha256


@dataclass(frozen=True)
class Forecast:
    """Where each stage of each fold stands, by fold and stage."""

    folds: Mapping[int, Mapping[str, Standing]]

    def stages(self, *standings: Standing) -> dict[int, list[str]]:
        """The stages of each fold that stand so; folds without any are left out."""
        found = {
            fold: [stage for stage, standing in stages.items() if standing in standings]
            for fold, stages in self.folds.items()
        }
        return {fold: stages for fold, stages in found.items() if stages}

    def lines(self) -> list[str]:
        """What is made anew although it is there, one line a fold."""
        return [
            f"fold {fold}: {' and '.join(stages)} trained anew: the plan has changed what it is derived from; encoders "
            "that fit are kept"
            for fold, stages in self.stages("anew").items()
        ]


def forecast(
    workspace: Workspace,
    cases: Sequence[Case],
    plan: Plan,
    splits: Splits,
    folds: Sequence[int],
    sample_keys: Mapping[str, str],
) -> Forecast:
    """What `train_folds` would find in `workspace`, if the samples of `cases` had `sample_keys`; nothing is written.

    Raises StaleRecordError for weights that cannot be read, and WeightsError as `train_folds`.
    """
    keys = stage_keys(sample_keys, cases, plan, splits, start_sha256(plan.network.encoder_weights))
    return Forecast({index: standing_of(workspace.fold(index), plan, keys[index]) for index in folds})


def share_to_train(found: Forecast, plan: Plan, splits: Splits) -> float:
    """The share of all encoders of all folds, 0 to 1, that are still to be trained: the fusion takes seconds."""
    wanted = sum(stage in plan.sequences for stages in found.stages("missing", "refused").values() for stage in stages)
    return wanted / (len(splits.folds) * len(plan.sequences))
