"""Every field of the plan that a preset may give, with the rule that derives it where it does not.

A rule is a pure function of the situation: it may use what rules before it, or the preset, decided. So the order of
`RULES` is the order in which a plan is thought out.
"""

from autodls.errors import PlanError
from autodls.planning import rules_network as network
from autodls.planning import rules_preprocessing as preprocessing
from autodls.planning import rules_segmentation as segmentation
from autodls.planning import rules_training as training
from autodls.planning.decision import Decision, Rule, Situation, fixed
from autodls.planning.rules_intensity import intensity


def batch_size(situation: Situation) -> Decision:
    """As many cases as the cohort allows and the memory holds; raises PlanError where not even the fewest fit."""
    size_px = situation["preprocessing.input_size_px"]
    limit_gib = training.MEMORY_SHARE * situation.resources.memory_gib
    wanted = training.wanted_batch(situation)
    smallest = training.SMALLEST_BATCH
    fitting = [
        batch
        for batch in range(smallest, wanted + 1, training.BATCH_STEP)
        if preprocessing.training_gib(situation, size_px, batch) <= limit_gib
    ]
    if not fitting:
        needed = preprocessing.training_gib(situation, size_px, smallest) / training.MEMORY_SHARE
        raise PlanError(
            f"memory of {situation.resources.memory_gib:.3g} GiB: a batch of {smallest} at {size_px} px needs a budget "
            f"of {needed:.3g} GiB; raise --memory-gib, or give a smaller preprocessing.input_size_px in a preset"
        )
    chosen = fitting[-1]
    bound = (
        f"The memory of {limit_gib:.3g} GiB ({training.MEMORY_SHARE:.0%} of the budget) holds no more at {size_px} px"
        if chosen < wanted
        else _bound_of_cases(situation.inner_training_cases, chosen)
    )
    return Decision(chosen, f"{bound}; a batch of one case, which batch norm cannot use, is merged.")


def _bound_of_cases(cases: int, batch: int) -> str:
    share = f"{training.BATCH_SHARE:.0%} of the {cases} cases an encoder learns from"
    if batch > cases * training.BATCH_SHARE:
        return f"The fewest that give batch norm usable statistics, although more than {share}"
    if batch == training.LARGEST_BATCH:
        return f"As in the paper, and no more than {share}"
    return f"At most {share}, in steps of {training.BATCH_STEP}"


_PAPER = "As in the paper."

RULES: dict[str, Rule] = {
    "network.encoder_weights": fixed(
        "imagenet", "As in the paper: with few cases, weights that have seen natural images are the better start."
    ),
    "network.encoder": network.encoder,
    "network.encoder_frozen": fixed(False, "Encoders are fitted to the cohort, as in the paper."),
    "network.roi_guided": network.roi_guided,
    "network.fusion.heads": fixed(8, _PAPER),
    "network.fusion.layers": fixed(3, _PAPER),
    "network.fusion.dropout": fixed(0.1, "The usual value of a transformer; the paper gives none."),
    "network.fusion.fallback": fixed(
        "mean",
        "A transformer that is not shown on a fold's inner hold-out to be better than the plain mean of the sequences' "
        "log-odds is not used: on small cohorts it has lost what single sequences had.",
    ),
    "training.folds": training.folds,
    "training.inner_holdout": training.inner_holdout,
    "training.precision": training.precision,
    "training.optimizer": training.optimizer,
    "training.fine_tuning_epochs": fixed(0, "Two stages, as in the paper. A number fits all on together, end to end."),
    "preprocessing.input_size_px": preprocessing.input_size_px,
    "preprocessing.slice_size_px": preprocessing.slice_size_px,
    "preprocessing.crop_mm": preprocessing.crop_mm,
    "preprocessing.spacing_mm": preprocessing.spacing_mm,
    "preprocessing.registration": preprocessing.registration,
    "preprocessing.intensity": intensity,
    "network.fusion.patch_px": network.patch_px,
    "network.pca_dims": network.pca_dims,
    "training.batch_size": batch_size,
    "training.learning_rate": training.learning_rate,
    "training.momentum": fixed(0.9, "The usual value with SGD; the paper gives none."),
    "training.weight_decay": training.weight_decay,
    "training.epochs": training.epochs,
    "training.kept_epoch": training.kept_epoch,
    "training.patience": training.patience,
    "training.warmup_epochs": training.warmup_epochs,
    "training.batch_norm_momentum": training.batch_norm_momentum,
    "training.encoder_dropout": fixed(0.2, "The paper uses dropout without saying how much; 0.2 is mild."),
    "training.loss": fixed("focal", _PAPER),
    "training.focal_gamma": fixed(2.0, "The value that Lin et al. 2017 recommend; the paper gives none."),
    "training.focal_alpha": training.focal_alpha,
    "training.augmentation": training.augmentation,
    "training.fusion_learning_rate": fixed(
        0.03,
        "Three times the paper's 0.01: on phantoms 0.01 was still learning after 50 epochs, 0.05 was past its best "
        "after 15.",
    ),
    "training.fusion_epochs": fixed(
        60, "On stored features an epoch takes less than a second: all are run, and the best is kept."
    ),
    "training.fine_tuning_learning_rate": fixed(
        0.001, "A tenth of the paper's rate, for weights that have settled; used where there is fine-tuning."
    ),
    "training.sequence_dropout": training.sequence_dropout,
    "training.cutoff": fixed(
        "class_medians",
        "Half way between the classes' median out-of-fold log-odds: in a simulation of 72 to 4000 cases the ensemble's "
        "calls on new cases varied half as much as at Youden's cut-off and were better on average.",
    ),
    "training.seed": fixed(0, "Any number will do; it makes a run repeatable."),
    "segmentation.configuration": segmentation.configuration,
    "segmentation.epochs": segmentation.epochs,
    "segmentation.iterations_per_epoch": segmentation.iterations_per_epoch,
    "segmentation.planner": segmentation.planner,
    "segmentation.mask.components": segmentation.components,
    "segmentation.mask.lower_threshold": fixed(
        0.1, "Chosen so that a faint suspicion in the right place is preferred to no place at all; not measured."
    ),
    "segmentation.mask.least_confidence": fixed(
        0.6,
        "Above a threshold of 0.5 lie 0.5 to 1; a mean in the lowest fifth hardly tells tumour from the rest.",
    ),
    "segmentation.mask.least_volume_mm3": segmentation.least_volume_mm3,
    "segmentation.mask.most_disagreement": fixed(
        0.5, "A mean Dice under 0.5 between folds: they agree on less than half of what they mark."
    ),
    "segmentation.noninferiority_margin_auc": fixed(
        0.05,
        "A usual margin, declared before anything is scored; with a wider interval the cohort has no answer.",
    ),
}
