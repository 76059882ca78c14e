"""How to choose between a simple score, the networks' and both together, from the few cases of an early-stopping set.

Simulated: in each class the log-odds of a simple score and of the networks are normal (correlation 0.3), the networks'
are scaled on the early-stopping set as `autodls compare` scales them, and "both" is the stack that it fits there. A
rule sees AUCs on the early-stopping set alone; what counts is the true AUC of what it takes, here of 4,000 fresh cases.

    python benchmarks/choice_rule.py [--draws 300] [--seed 0]
"""

import argparse

import numpy as np
from scipy.stats import norm

from autodls.candidates.stacking import cross_fitted, fit_stack
from autodls.evaluation.delong import auc
from autodls.models.recalibration import fit_scale

MARGINS = (0.0, 0.05, 0.1, 0.2)
COHORTS = ((12, 5), (16, 6), (43, 14))  # early-stopping set of 72, 96 and 267 cases: cases, positives
QUALITIES = ((0.85, 0.5), (0.85, 0.7), (0.85, 0.85), (0.75, 0.85), (0.6, 0.85))


def drawn(chance, labels, separations):
    """Log-odds [case, score] of scores that are as good as `separations` say."""
    noise = chance.normal(size=(len(labels), 2))
    noise[:, 1] = 0.3 * noise[:, 0] + np.sqrt(1 - 0.3**2) * noise[:, 1]
    values = noise + np.outer(labels - 0.5, separations)
    return values * np.where(np.asarray(separations) > 0, separations, 1.0)


def one_draw(chance, cases, positives, aucs):
    """AUCs on the early-stopping set, and the true ones, of the simple score, the networks' and both."""
    separations = [np.sqrt(2) * norm.ppf(value) for value in aucs]
    labels, fresh = np.arange(cases) < positives, np.arange(4000) % 3 == 0
    seen, new = drawn(chance, labels, separations), drawn(chance, fresh, separations)
    middle, spread = seen[:, 1].mean(), seen[:, 1].std(ddof=1)
    scale = fit_scale((seen[:, 1] - middle) / spread, labels, 0.5)
    for part in (seen, new):
        part[:, 1] = scale.log_odds((part[:, 1] - middle) / spread)
    both = fit_stack(seen, labels).log_odds(new)
    crossed = cross_fitted(seen, labels, [str(at) for at in range(cases)])
    judged = [auc(labels, one) for one in (seen[:, 0], seen[:, 1], crossed)]
    return judged, [auc(fresh, one) for one in (new[:, 0], new[:, 1], both)]


def taken(judged, rule):
    """Which of the three a rule takes: the best on the early-stopping set, or both but for a lead of a margin."""
    if rule == "best":
        return int(np.argmax(judged))
    best = int(np.argmax(judged[:2]))
    return best if judged[best] > judged[2] + rule else 2


def main():
    """Print a line for each size of cohort and quality of the scores."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--draws", type=int, default=300)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    rules = ("best", *MARGINS)
    print("cases simple networks |", *(f"{rule!s:>5}" for rule in rules), "| simple networks both (true AUC)")
    lost = {rule: [] for rule in rules}
    for cases, positives in COHORTS:
        for aucs in QUALITIES:
            chance = np.random.default_rng((given.seed, cases, int(100 * aucs[0]), int(100 * aucs[1])))
            draws = [one_draw(chance, cases, positives, aucs) for _ in range(given.draws)]
            true = np.mean([values for _, values in draws], axis=0)
            means = {rule: np.mean([values[taken(judged, rule)] for judged, values in draws]) for rule in rules}
            for rule in rules:
                lost[rule].append(true.max() - means[rule])
            print(f"{cases:5d} {aucs[0]:6.2f} {aucs[1]:8.2f} |", *(f"{means[rule]:.3f}" for rule in rules), "|",
                  *(f"{value:.3f}" for value in true))  # fmt: skip
    print("lost to the best, mean and most:", *(f"{rule}: {np.mean(v):.3f} {max(v):.3f};" for rule, v in lost.items()))


if __name__ == "__main__":
    main()
