"""How to choose between a simple score, the networks' and both together, from the few cases of an early-stopping set.

Simulated: in each class the log-odds of a simple score and of the networks are normal (correlation 0.3), the networks'
are scaled on the early-stopping set as `autodls compare` scales them, and "both" is the stack that it fits there. A
rule sees AUCs on the early-stopping set alone; what counts is the true AUC of what it takes, here of 4,000 fresh cases.

With `--more N` there are N further networks (`compare --also`; correlation 0.7 with the first), which "both" does not
hold. They are as good as the first, or, every second line, the last of them by 0.1 better.

    python benchmarks/choice_rule.py [--draws 300] [--seed 0] [--more 0]
"""

import argparse

import numpy as np
from scipy.stats import norm

from autodls.candidates.stacking import cross_fitted, fit_stack
from autodls.evaluation.delong import auc
from autodls.models.recalibration import fit_scale

MARGINS = (0.0, 0.05, 0.1, 0.15, 0.2)
COHORTS = ((12, 5), (16, 6), (43, 14))  # early-stopping set of 72, 96 and 267 cases: cases, positives
QUALITIES = ((0.85, 0.5), (0.85, 0.7), (0.85, 0.85), (0.75, 0.85), (0.6, 0.85))
ALIKE = 0.7  # correlation of a further network with the first
BETTER = 0.1


def drawn(chance, labels, separations):
    """Log-odds [case, score] of scores that are as good as `separations` say: the simple one, then the networks."""
    noise = chance.normal(size=(len(labels), len(separations)))
    noise[:, 1] = 0.3 * noise[:, 0] + np.sqrt(1 - 0.3**2) * noise[:, 1]
    noise[:, 2:] = ALIKE * noise[:, 1:2] + np.sqrt(1 - ALIKE**2) * noise[:, 2:]
    values = noise + np.outer(labels - 0.5, separations)
    return values * np.where(np.asarray(separations) > 0, separations, 1.0)


def one_draw(chance, cases, positives, aucs):
    """AUCs on the early-stopping set, and the true ones, of the simple score, both, and each of the networks."""
    separations = [np.sqrt(2) * norm.ppf(value) for value in aucs]
    labels, fresh = np.arange(cases) < positives, np.arange(4000) % 3 == 0
    seen, new = drawn(chance, labels, separations), drawn(chance, fresh, separations)
    middle, spread = seen[:, 1].mean(), seen[:, 1].std(ddof=1)
    scale = fit_scale((seen[:, 1] - middle) / spread, labels, 0.5)
    for part in (seen, new):
        part[:, 1] = scale.log_odds((part[:, 1] - middle) / spread)
    both = fit_stack(seen[:, :2], labels).log_odds(new[:, :2])
    crossed = cross_fitted(seen[:, :2], labels, [str(at) for at in range(cases)])
    judged = [auc(labels, one) for one in (seen[:, 0], crossed, *seen[:, 1:].T)]
    return judged, [auc(fresh, one) for one in (new[:, 0], both, *new[:, 1:].T)]


def taken(judged, rule):
    """Which one a rule takes: the best on the early-stopping set, or both (1) but for a lead of a margin."""
    if rule == "best":
        return int(np.argmax(judged))
    others = [at for at in range(len(judged)) if at != 1]
    best = max(others, key=lambda at: judged[at])
    return best if judged[best] > judged[1] + rule else 1


def scenes(more):
    """AUCs of the simple score, the network, and `more` others."""
    for simple, network in QUALITIES:
        yield (simple, network, *[network] * more)
        if more:
            yield (simple, network, *[network] * (more - 1), min(network + BETTER, 0.95))


def main():
    """Print a line for each size of cohort and quality of the scores."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--draws", type=int, default=300)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--more", type=int, default=0, help="networks beside the one that both is made of")
    given = options.parse_args()
    rules = ("best", *MARGINS)
    print("cases simple networks |", *(f"{rule!s:>5}" for rule in rules), "| simple both networks (true AUC)")
    lost: dict[str | float, list[float]] = {rule: [] for rule in rules}
    for cases, positives in COHORTS:
        for aucs in scenes(given.more):
            chance = np.random.default_rng((given.seed, cases, *(int(100 * value) for value in aucs)))
            draws = [one_draw(chance, cases, positives, aucs) for _ in range(given.draws)]
            true = np.mean([values for _, values in draws], axis=0)
            means = {rule: np.mean([values[taken(judged, rule)] for judged, values in draws]) for rule in rules}
            for rule in rules:
                lost[rule].append(true.max() - means[rule])
            print(f"{cases:5d}", *(f"{value:.2f}" for value in aucs), "|",
                  *(f"{means[rule]:.3f}" for rule in rules), "|", *(f"{value:.3f}" for value in true))  # fmt: skip
    print("lost to the best, mean and most:", *(f"{rule}: {np.mean(v):.3f} {max(v):.3f};" for rule, v in lost.items()))


if __name__ == "__main__":
    main()
