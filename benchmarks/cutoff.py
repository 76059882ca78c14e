"""Which cut-off, locked on out-of-fold scores of single folds, does best on the ensemble's scores of new cases?

A simulation of the protocol: every fold scores on a scale of its own, put on a common one by an inner hold-out; the
cut-off is chosen on pooled out-of-fold scores; new cases are scored by the mean log-odds of the folds. Run:
`python benchmarks/cutoff.py`.
"""

from argparse import ArgumentParser
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autodls.evaluation.binary import class_medians_cutoff, confusion_at, youden_cutoff
from autodls.models.recalibration import fit_scale

RULES = {"youden": youden_cutoff, "class_medians": class_medians_cutoff}
NEW_CASES = 3000


@dataclass(frozen=True)
class Folds:
    """Folds that see the evidence of a case in common and noise of their own, and score on different scales."""

    chance: np.random.Generator
    slopes: NDArray[np.float64]
    shifts: NDArray[np.float64]
    skewed: bool

    @classmethod
    def draw(cls, seed: int, count: int, *, skewed: bool) -> "Folds":
        """Folds by chance."""
        chance = np.random.default_rng(seed)
        return cls(chance, np.exp(chance.normal(0, 0.4, count)), chance.normal(0, 0.5, count), skewed)

    def cases(self, count: int) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Labels [case], both classes among them, and raw logits [fold, case]."""
        labels = self.chance.permutation(np.arange(count) < max(1, round(0.4 * count)))
        evidence = np.where(labels, 0.9, -0.9) + self.chance.normal(0, 0.85, count)
        seen = evidence + self.chance.normal(0, 0.85, (len(self.slopes), count))
        if self.skewed:  # networks are soon sure of positives, and ever surer of negatives, as on our phantoms
            seen = np.where(seen > 0, 1.2 * np.tanh(seen / 1.2), seen)
        return labels, self.slopes[:, None] * seen + self.shifts[:, None]


def trial(seed: int, cases: int, folds: int, *, skewed: bool) -> NDArray[np.float64]:
    """(sensitivity, specificity) out of fold, of single folds on new cases, of the ensemble on them; [rule, 3, 2]."""
    drawn = Folds.draw(seed, folds, skewed=skewed)
    inner = max(10, cases * (folds - 1) // folds // 5)
    scales = []
    for fold in range(folds):
        labels, logits = drawn.cases(inner)
        scales.append(fit_scale(logits[fold], labels))
    labels, logits = drawn.cases(cases)
    fold_of = np.arange(cases) % folds
    pooled = np.array([scales[fold].log_odds(logits[fold, case]) for case, fold in enumerate(fold_of)])
    new_labels, new_logits = drawn.cases(NEW_CASES)
    single = np.stack([scale.log_odds(row) for scale, row in zip(scales, new_logits, strict=True)])
    found = []
    for rule in RULES.values():
        cutoff = rule(labels, pooled)
        assert cutoff is not None, "both classes are among the cases"
        alone = np.mean([rates(new_labels, row, cutoff) for row in single], axis=0)
        found.append((rates(labels, pooled, cutoff), alone, rates(new_labels, single.mean(axis=0), cutoff)))
    return np.array(found)


def rates(labels: NDArray[np.bool_], scores: NDArray[np.float64], cutoff: float) -> tuple[float, float]:
    """Sensitivity and specificity."""
    held = confusion_at(labels, scores, cutoff)
    return held.tp / (held.tp + held.fn), held.tn / (held.tn + held.fp)


def main() -> None:
    """Print a table."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200)
    trials = parser.parse_args().trials
    print(
        f"{trials} trials; sensitivity / specificity: mean (SD); J of the ensemble on new cases: mean, 5th percentile"
    )
    for cases, folds in ((72, 3), (267, 5), (1000, 5), (4000, 5)):
        for skewed in (False, True):
            found = np.array([trial(seed, cases, folds, skewed=skewed) for seed in range(trials)])
            for position, rule in enumerate(RULES):
                index = found[:, position, 2].sum(axis=1) - 1
                columns = "  ".join(
                    f"{name} {part.mean(axis=0)[0]:.3f} ({part.std(axis=0)[0]:.3f}) / "
                    f"{part.mean(axis=0)[1]:.3f} ({part.std(axis=0)[1]:.3f})"
                    for name, part in zip(
                        ("out of fold", "single", "ensemble"), found[:, position].swapaxes(0, 1), strict=True
                    )
                )
                shape = "skewed" if skewed else "normal"
                print(
                    f"n {cases:4d} {shape} {rule:13s} {columns}  J {index.mean():.3f}, {np.quantile(index, 0.05):.3f}"
                )


if __name__ == "__main__":
    main()
