"""A dataset with its locked model as training leaves it, in a second: networks are tiny, fold scores made up."""

import numpy as np
from planning_records import blank_fingerprint
from tiny_model_folder import encoder_state, small_volume_plan
from tiny_models import tiny_fold

from autodls.models.fold_files import save_encoder, save_fusion
from autodls.planning.splits import make_splits
from autodls.records.cohort import read_cohort
from autodls.records.scores import FUSED, FoldScore
from autodls.records.workspace import Workspace
from autodls.training.fold_chain import weight_hashes, write_scores
from autodls.training.locking import lock_model


def made_up_scores(fold, cases, sequences, chance):
    """What a fold says of all cases: the better, the more it has seen of them."""
    gains = {"train": 3.0, "inner": 2.0, "validation": 1.5}
    scores = []
    for part, gain in gains.items():
        for name in getattr(fold, part):
            case = cases[name]
            rows = (FUSED, *(sequence for sequence in sequences if sequence in case.images))
            odds = {row: float(gain * (2 * case.label - 1) + chance.normal(0, 2)) for row in rows}
            scores.append(FoldScore(case=name, part=part, label=case.label, logits=odds, log_odds=odds))
    return scores


def tiny_workspace(dataset, root, plan=None):
    """Lock a model for `dataset` in the workspace `root`, which is returned; `plan` fits `make_dataset` by default."""
    workspace, plan, cohort = Workspace(root), plan or small_volume_plan(), read_cohort(dataset)
    splits = make_splits(cohort.training, plan.training.folds, plan.training.inner_holdout, plan.training.seed)
    plan.save(workspace.plan)
    splits.save(workspace.splits)
    blank_fingerprint(*plan.sequences).save(workspace.fingerprint)
    cases = {case.id: case for case in cohort.training}
    for fold in splits.folds:
        model, folder = tiny_fold(plan, fold.index), workspace.fold(fold.index)
        for sequence, encoder in model.encoders.items():
            save_encoder(folder, sequence, encoder_state(encoder), {})
        save_fusion(folder, model, {})
        scores = made_up_scores(fold, cases, plan.sequences, np.random.default_rng((7, fold.index)))
        write_scores(folder, scores, plan, "key", weight_hashes(folder, plan))
    lock_model(workspace, cohort.description, plan, splits, cohort.training)
    return workspace
