"""Rules for protocol and optimisation: folds, batch, learning rate, epochs, loss."""

from autodls.errors import PlanError
from autodls.planning.decision import Decision, Situation

FEWEST_OF_A_CLASS = 4  # two folds, and in each training part one case to learn from and one to stop by
FOLDS_BY_RARER_PATIENTS = ((15, 5), (6, 3), (FEWEST_OF_A_CLASS, 2))
SMALLEST_BATCH, FEW_CASES_BATCH, LARGEST_BATCH, BATCH_STEP = 4, 8, 32, 4
BATCH_SHARE = 1 / 3
MEMORY_SHARE = 0.8
BASE_LEARNING_RATE, BASE_BATCH = 0.01, 32
ADAMW_LEARNING_RATE, ADAMW_WEIGHT_DECAY = 0.002, 0.05


def folds(situation: Situation) -> Decision:
    """By the number of patients of the rarer class; raises PlanError where there are too few."""
    rarer = situation.rarer_patients
    for fewest, count in FOLDS_BY_RARER_PATIENTS:
        if rarer >= fewest:
            return Decision(
                count,
                f"{rarer} patients of the rarer class: {fewest} or more allow {count} folds, {rarer / count:.1f} each.",
            )
    raise PlanError(
        f"dataset {situation.fingerprint.dataset}: {rarer} training patients of the rarer class; cross-validation "
        f"needs at least {FEWEST_OF_A_CLASS} of each class (2 folds, one to learn from and one to stop by in each); "
        f"add patients"
    )


def inner_holdout(situation: Situation) -> Decision:
    """A fifth; a quarter in small cohorts, where a fifth would hold too few of the rarer class."""
    rarer = situation.rarer_patients
    share = 0.2 if rarer >= FOLDS_BY_RARER_PATIENTS[0][0] else 0.25
    held = rarer * (1 - 1 / situation["training.folds"]) * share
    return Decision(
        share,
        f"{share:.0%} of a fold's training part stops the training and sets the scale: {held:.1f} rarer patients.",
    )


def precision(situation: Situation) -> Decision:
    """Half precision where the hardware has it."""
    device = "GPU" if situation.on_gpu else "CPU"
    if situation.resources.bf16:
        return Decision("bf16", f"This {device} multiplies bfloat16 in hardware.")
    return Decision("fp32", f"This {device} has no bfloat16 in hardware, and emulating it is slower than float32.")


def wanted_batch(situation: Situation) -> int:
    """The batch size that the number of cases allows: a multiple of 4 between 8 and 32.

    Batch norm wants the 8: with 4 cases and a feature map of a few pixels its statistics are mostly noise. Only too
    little memory leads to 4.
    """
    share = int(situation.inner_training_cases * BATCH_SHARE)
    return min(LARGEST_BATCH, max(FEW_CASES_BATCH, share // BATCH_STEP * BATCH_STEP))


def learning_rate(situation: Situation) -> Decision:
    """With SGD, linear scaling with the batch (Goyal et al. 2017, arXiv:1706.02677)."""
    if situation["training.optimizer"] == "adamw":
        return Decision(
            ADAMW_LEARNING_RATE,
            "AdamW takes steps whose size hardly depends on the batch; on phantoms 0.001, 0.002 and 0.005 were alike.",
        )
    batch = situation["training.batch_size"]
    scaled = BASE_LEARNING_RATE * batch / BASE_BATCH
    return Decision(
        scaled,
        f"The paper's {BASE_LEARNING_RATE} at a batch of {BASE_BATCH}, scaled linearly to a batch of {batch}.",
    )


def optimizer(situation: Situation) -> Decision:
    """The paper's, unless a network starts from nothing."""
    if situation["network.encoder_weights"] == "random":
        return Decision(
            "adamw", "Random weights: steps of one size for every weight need fewer of them than SGD's, and no tuning."
        )
    return Decision("sgd", "As in the paper.")


def weight_decay(situation: Situation) -> Decision:
    """By the optimizer: AdamW's is decoupled, and larger."""
    if situation["training.optimizer"] == "adamw":
        return Decision(
            ADAMW_WEIGHT_DECAY, "AdamW's decay is taken off the weights, not added to gradients; 0.05 is usual."
        )
    return Decision(1e-4, "The usual value for a ResNet; the paper gives none.")


def epochs(situation: Situation) -> Decision:
    """Fewer on a CPU, and with random weights."""
    if situation["network.encoder_weights"] == "random":
        return Decision(
            30, "Of a small network 20 and 40 were alike on phantoms, and 40 better on gliomas: between them."
        )
    if situation.on_gpu:
        return Decision(60, "60 at most on a GPU; early stopping usually ends sooner.")
    return Decision(40, "40 at most on a CPU instead of the 60 on a GPU, to keep the time bearable.")


def kept_epoch(situation: Situation) -> Decision:
    """The paper's early stopping where weights are to stay near their start, else the end of the schedule."""
    if situation["network.encoder_weights"] == "random":
        return Decision(
            "last",
            "The rate has fallen to nothing by then. Early stopping on ten cases mostly kept an epoch of the first "
            "half, by chance (phantoms, benchmarks/RESULTS.md).",
        )
    return Decision("best", "Early stopping, as in the paper.")


def patience(situation: Situation) -> Decision:
    """A quarter of the epochs, within what the schedule can use."""
    limit = situation["training.epochs"]
    value = max(1, min(12, limit // 4))
    return Decision(value, f"A quarter of {limit} epochs, at most 12, without a lower inner hold-out loss.")


def warmup_epochs(situation: Situation) -> Decision:
    """Three, unless there are hardly more epochs than that."""
    limit = situation["training.epochs"]
    return Decision(
        min(3, limit // 4), "The learning rate rises over 3 epochs, or a quarter of all where that is less."
    )


def batch_norm_momentum(situation: Situation) -> Decision:
    """Faster where the statistics start from nothing."""
    if situation["network.encoder_weights"] == "random":
        steps = max(1, situation.inner_training_cases // situation["training.batch_size"])
        return Decision(
            0.3,
            f"Random weights and about {steps} steps an epoch: 0.1 would keep the first epochs' statistics too long.",
        )
    return Decision(0.1, "Pre-trained weights bring statistics along; PyTorch's usual 0.1 adapts them.")


def focal_alpha(situation: Situation) -> Decision:
    """The share of the other class, so that both weigh the same, within bounds."""
    fingerprint = situation.fingerprint
    prevalence = fingerprint.positives / fingerprint.cases
    alpha = min(0.75, max(0.25, 1 - prevalence))
    clipped = "" if alpha == 1 - prevalence else f", kept within 0.25 to 0.75: {alpha:g}"
    return Decision(
        round(alpha, 4),
        f"{fingerprint.positives} of {fingerprint.cases} cases are positive ({prevalence:.1%}); positives weigh "
        f"{1 - prevalence:.3f}{clipped}.",
    )


def augmentation(situation: Situation) -> Decision:
    """The richer policy where the network is not the bottleneck, or starts from nothing."""
    if situation["network.encoder_frozen"]:
        return Decision("paper", "Encoders are not trained: features are those of flips and random crops.")
    if situation["network.encoder_weights"] == "random":
        return Decision(
            "nnunet",
            "Random weights gain from nnU-Net's full policy: on phantoms single folds were better by it.",
        )
    if situation.on_gpu:
        return Decision("nnunet", "Small cohorts gain from nnU-Net's full policy; on a GPU its cost is bearable.")
    return Decision(
        "paper", "Flips and random crops, as in the paper: on a CPU the full policy competes for the cores."
    )


def sequence_dropout(situation: Situation) -> Decision:
    """Only where a sequence can be left out."""
    sequences = situation.fingerprint.sequences
    if len(sequences) == 1:
        return Decision(0.0, "There is one sequence only.")
    missing = max(seen.share_missing for seen in sequences.values())
    return Decision(
        0.1,
        f"While the fusion trains, each of the {len(sequences)} sequences is left out one time in ten, so that it "
        f"bears a missing one (in this cohort up to {missing:.0%} of cases lack one).",
    )
