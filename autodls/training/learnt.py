"""Has a network learnt? Its losses beside those of a guess, which says the same of every case without looking at it.

Early stopping picks the epoch with the lowest loss on a few cases. That loss is noisy, and above a guess's where a
network orders the cases well and is too sure of itself; so a network is only found to be no better than a guess where
its order of those cases tells against it as well.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.optimize import minimize_scalar

from autodls.planning.patients import effective_cases
from autodls.records.training_log import Epoch, Fault, Judgement, LoggedStage, log_lines, logged_stages
from autodls.training.data import FoldRun
from autodls.training.stage_log import StageLog

DIVERGED = 3.0  # times the loss of a guess: training never gets there by small steps, except before it has begun
_WEAK_AUC = 2 / 3
_FIVE_PERCENT = 1.645  # one-sided, of the normal distribution


@dataclass(frozen=True)
class LabelCounts:
    """How many cases of each class a network is fitted to, or stopped by.

    `independent` cases of each class they are worth, where a patient has several; see `effective_cases`.
    """

    positives: int
    negatives: int
    independent: tuple[float, float] | None = None

    @property
    def count(self) -> int:
        """Of both classes together."""
        return self.positives + self.negatives


def judge(
    epochs: Sequence[Epoch], train: LabelCounts, inner: LabelCounts, focal_gamma: float, focal_alpha: float
) -> Judgement | None:
    """Hold the epochs of one network against a guess, the constant with the lowest loss over the cases trained on.

    "diverged": in an epoch after the first, the mean loss of a training case is more than `DIVERGED` times a guess's.
    "no better than a guess": in the epoch that was kept, the loss of the inner hold-out is not below a guess's, and its
    AUC is at most 0.5 and so low that a network whose AUC is two thirds shows it in one of twenty such hold-outs
    (normal approximation of Mann and Whitney's statistic); a hold-out of one class has no AUC. None where a class is
    not trained on, or no epoch was kept.
    """
    kept = LoggedStage("", tuple(epochs), None).kept
    if kept is None or not (train.positives and train.negatives and inner.count):
        return None
    probability = best_guess(train, focal_gamma, focal_alpha)
    guess_train = guess_loss(train, probability, focal_gamma, focal_alpha)
    guess_inner = guess_loss(inner, probability, focal_gamma, focal_alpha)
    worst = max(epochs[1:], key=lambda epoch: epoch.train_loss, default=kept)
    fault: Fault | None = None
    why = ""
    if worst.train_loss > DIVERGED * guess_train:
        fault = "diverged"
        loss = f"training loss {worst.train_loss:.3g} in epoch {worst.epoch + 1}"
        why = f"diverged ({loss}, a guess has {guess_train:.3g})"
    elif kept.inner_loss >= guess_inner and kept.inner_auc is not None and kept.inner_auc <= unlearnt_auc(inner):
        fault = "no better than a guess"
        loss = f"loss of its {inner.count} early-stopping cases {kept.inner_loss:.3g}, a guess has {guess_inner:.3g}"
        why = f"is no better than a guess ({loss}, AUC {kept.inner_auc:.2f})"
    return Judgement(stage=kept.stage, guess_train_loss=guess_train, guess_inner_loss=guess_inner, fault=fault, why=why)


def guess_loss(labels: LabelCounts, probability: float, focal_gamma: float, focal_alpha: float) -> float:
    """Mean focal loss, scaled as in training, where every case is given the same `probability` of being positive.

    >>> round(guess_loss(LabelCounts(3, 3), 0.5, 0.0, 0.5), 6) == round(math.log(2), 6)
    True
    """
    positive = focal_alpha * (1 - probability) ** focal_gamma * -math.log(probability)
    negative = (1 - focal_alpha) * probability**focal_gamma * -math.log1p(-probability)
    return 2 * float(labels.positives * positive + labels.negatives * negative) / labels.count


def best_guess(labels: LabelCounts, focal_gamma: float, focal_alpha: float) -> float:
    """The probability with the lowest `guess_loss`: the prevalence for cross entropy, nearer to one half for others.

    >>> round(best_guess(LabelCounts(1, 3), 0.0, 0.5), 4)
    0.25
    """
    found = minimize_scalar(
        lambda probability: guess_loss(labels, probability, focal_gamma, focal_alpha),
        bounds=(1e-6, 1 - 1e-6),
        method="bounded",
        options={"xatol": 1e-9},
    )
    return float(found.x)


def unlearnt_auc(labels: LabelCounts) -> float:
    """The highest AUC of a hold-out that tells against a network: see `judge`. The cases of a patient count as one."""
    positives, negatives = labels.independent or (labels.positives, labels.negatives)
    variance = (positives + negatives + 1) / (12 * positives * negatives)
    return min(0.5, _WEAK_AUC - _FIVE_PERCENT * math.sqrt(variance))


def judge_fold(run: FoldRun, log: StageLog, unused: Sequence[str] = ()) -> dict[str, str]:
    """Write into the log how each network of a fold is judged; what is wrong, by stage, of those that have not learnt.

    Stages in `unused` give no score: nothing is wrong where they have learnt nothing.
    """
    judgements: dict[str, Judgement] = {}
    training = run.plan.training
    for stage in logged_stages(log_lines(log.path)):
        train, inner = (_labels(run, part, stage.stage) for part in (run.fold.train, run.fold.inner))
        judged = judge(stage.epochs, train, inner, training.focal_gamma, training.focal_alpha)
        if judged is not None:
            judgements[stage.stage] = judged
    if judgements:
        log.judge(judgements)
    return {stage: found.why for stage, found in judgements.items() if found.fault and stage not in unused}


def _labels(run: FoldRun, cases: Sequence[str], stage: str) -> LabelCounts:
    """Those of a part of the fold; an encoder is fitted to the cases that have its sequence."""
    sequence = run.plan.sequences.index(stage) if stage in run.plan.sequences else None
    rows = run.data.bags(cases, sequence).case_rows
    patients = [run.data.patients[row] for row in rows.tolist()] if run.data.patients else None
    return labels_of(run.data.labels[rows].tolist(), patients)


def labels_of(labels: Sequence[int], patients: Sequence[str] | None = None) -> LabelCounts:
    """Counts of `labels`, 1 positive and 0 negative, and what they are worth where they are of `patients`.

    >>> labels_of([1, 1, 0], ["a", "a", "b"])
    LabelCounts(positives=2, negatives=1, independent=(1.0, 1.0))
    """
    positives = sum(labels)
    if patients is None:
        return LabelCounts(positives, len(labels) - positives)
    of_class = (Counter(one for one, label in zip(patients, labels, strict=True) if label == side) for side in (1, 0))
    positive, negative = (effective_cases(cases.values()) for cases in of_class)
    return LabelCounts(positives, len(labels) - positives, (positive, negative))
