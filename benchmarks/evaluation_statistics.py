"""Speed of the statistics beside their peers, in one run on one machine.

    python benchmarks/evaluation_statistics.py            (pip install MLstatkit for the middle column)

Every peer's answer is compared with ours before its time is believed. Rounds alternate between the competitors, so that
a busy machine slows all of them alike; medians are printed.
"""

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from side_by_side import in_process, interleaved

from autodls.evaluation.arrays import Bools, Floats
from autodls.evaluation.bootstrap import bootstrap_aucs, resample_counts
from autodls.evaluation.delong import auc, compare_aucs

try:
    from MLstatkit import Delong_test
except ImportError:
    Delong_test = None

ROUNDS = 7
AGREEMENT = 1e-8


def two_models(n: int, seed: int = 0) -> tuple[Bools, Floats, Floats]:
    """Labels (n,), three in ten positive, and two correlated scores (n,)."""
    rng = np.random.default_rng(seed)
    labels = rng.random(n) < 0.3
    first = rng.normal(size=n) + 0.05 * labels
    return labels, first, first + rng.normal(size=n)


def naive_delong(labels: Bools, first: Floats, second: Floats) -> float:
    """DeLong's z from the kernel of every positive with every negative, O(mn) in time and memory, vectorised."""
    kernels = []
    for scores in (first, second):
        positives, negatives = scores[labels][:, None], scores[~labels][None]
        kernels.append((positives > negatives) + 0.5 * (positives == negatives))
    difference = kernels[0] - kernels[1]
    parts = (difference.mean(axis=1), difference.mean(axis=0))
    return float(difference.mean() / np.sqrt(sum(part.var(ddof=1) / len(part) for part in parts)))


def looped_delong(labels: Bools, first: Floats, second: Floats) -> float:
    """The same with the two loops of the definition, in plain Python."""
    positives = list(zip(first[labels].tolist(), second[labels].tolist(), strict=True))
    negatives = list(zip(first[~labels].tolist(), second[~labels].tolist(), strict=True))
    of_positives, of_negatives = [0.0] * len(positives), [0.0] * len(negatives)
    for i, (a, b) in enumerate(positives):
        for j, (c, d) in enumerate(negatives):
            win = (a > c) + (a == c) / 2 - (b > d) - (b == d) / 2
            of_positives[i] += win
            of_negatives[j] += win
    parts = (np.array(of_positives) / len(negatives), np.array(of_negatives) / len(positives))
    return float(parts[0].mean() / np.sqrt(sum(part.var(ddof=1) / len(part) for part in parts)))


def our_delong(labels: Bools, first: Floats, second: Floats) -> float:
    """z of `compare_aucs`."""
    return float(compare_aucs(labels, first, second).z or 0)


def mlstatkit_delong(labels: Bools, first: Floats, second: Floats) -> float:
    """z of MLstatkit, whose sign is that of the second model minus the first."""
    return -float(Delong_test(labels, first, second, return_ci=False, return_auc=False)[0])


def medians_ms(contestants: Mapping[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Median milliseconds of each contestant."""
    usages = interleaved({name: in_process(run) for name, run in contestants.items()}, rounds)
    return {name: 1000 * usage.wall_s for name, usage in usages.items()}


def compare_delong(n: int, peers: Mapping[str, Callable[[Bools, Floats, Floats], float]], rounds: int = ROUNDS) -> bool:
    """Time all on the same cohort of n cases; False where a peer does not agree with us."""
    cohort = two_models(n)
    ours = our_delong(*cohort)
    agree = {name: abs(peer(*cohort) - ours) < AGREEMENT for name, peer in peers.items()}
    contestants = {"autodls": our_delong, **peers}
    times = medians_ms({name: partial(run, *cohort) for name, run in contestants.items()}, rounds)
    for name, milliseconds in times.items():
        note = (
            ""
            if name == "autodls"
            else f"{milliseconds / times['autodls']:10.1f} x  {'agrees' if agree[name] else 'DIFFERS'}"
        )
        print(f"paired DeLong  n = {n:>7,}  {name:<22} {milliseconds:12.2f} ms {note}")
    return all(agree.values())


def time_bootstrap(n: int = 115, models: int = 4, resamples: int = 2000) -> bool:
    """Draw resamples of patients and compute every AUC; False where one differs from the plain definition."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) < 37
    scores = rng.normal(size=(models, n)) + labels
    counts = resample_counts(n, np.random.default_rng(1), resamples)
    cases = np.repeat(np.arange(n), counts[0].astype(int))
    difference = bootstrap_aucs(labels, scores, counts)[0, 0] - (auc(labels[cases], scores[0][cases]) or 0)
    agrees = bool(abs(difference) < 1e-12)

    def run() -> Floats:
        return bootstrap_aucs(labels, scores, resample_counts(n, np.random.default_rng(1), resamples))

    milliseconds = medians_ms({"autodls": run}, rounds=15)["autodls"]
    print(
        f"bootstrap  {resamples} x {models} models, n = {n}: {milliseconds:.1f} ms  {'agrees' if agrees else 'DIFFERS'}"
    )
    return agrees


def main() -> int:
    """Run all; exit status 1 where results differ."""
    ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter).parse_args()
    peers = {"MLstatkit": mlstatkit_delong} if Delong_test else {}
    if not peers:
        print("MLstatkit is not installed: its column is left out")
    agreed = [
        compare_delong(10_000, peers),
        compare_delong(10_000, {"naive, NumPy O(mn)": naive_delong}),
        compare_delong(10_000, {"naive, Python loops": looped_delong}, rounds=1),
        compare_delong(100_000, peers),
        time_bootstrap(),
    ]
    return 0 if all(agreed) else 1


if __name__ == "__main__":
    sys.exit(main())
