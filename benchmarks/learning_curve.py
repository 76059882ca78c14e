"""How often does the band of a learning curve hold what more cases bring?

    python benchmarks/learning_curve.py [--cohorts 60] [--only WORLD] [--fixed]

Made-up cohorts of normal features, of which some few tell a little, and a ridge logistic regression: `measure_curve`
and `extrapolate` as they are, for two, four and eight times the cases. Held against the mean AUC, on 20,000 new cases,
of 40 regressions that were fitted on so many. In the last world features are what the images of our phantoms show, the
signs of the three sequences, beside twelve of noise, and labels theirs; its new cases are 4,000. `moved` is how far the
middle of the band lies from that on average. With `--fixed` folds are drawn once a cohort, and subsets alone anew, as
`autodls benchmark patients` does it; `--repeats 1` is what it does for networks.
"""

import argparse
from collections.abc import Callable
from functools import partial

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from autodls.evaluation.delong import auc
from autodls.evaluation.learning_curve import FoldRows, curve_of, draw_subsets, extrapolate
from autodls.evaluation.results import Estimate
from autodls.phantom.generative import ExpressionModel, draw_patient
from autodls.phantom.settings import CPS_CUTOFF, PhantomSettings

Draw = Callable[[int, np.random.Generator], tuple[np.ndarray, np.ndarray]]
FITS = 40


def main() -> None:
    """A line a world and size of cohort."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohorts", type=int, default=60)
    parser.add_argument("--only", help="one world by its name")
    parser.add_argument("--fixed", action="store_true", help="folds are drawn once a cohort")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    for name, (draw, new) in WORLDS.items():
        for n in (80, 200) if options.only in (None, name) else ():
            _world(name, draw, n, options, new)


def _world(name: str, draw: Draw, n: int, options: argparse.Namespace, new: int) -> None:
    chance = np.random.default_rng((n, len(name)))
    targets = [factor * n for factor in (2, 4, 8)]
    truth = [_mean_auc(draw, target, new, chance) for target in targets]
    held, moved, width = [], [], []
    for _ in range(options.cohorts):
        features, labels = draw(n, chance)

        def refit(fitted: np.ndarray, scored: np.ndarray, features=features, labels=labels) -> np.ndarray:
            return _fit(features[fitted], labels[fitted]).decision_function(features[scored])

        folds = _fixed(labels, chance) if options.fixed else None
        names = [str(row) for row in range(n)]
        subsets = draw_subsets(labels, names, chance, options.repeats, folds)
        curve = curve_of(labels, names, subsets, [refit(one.fitted, one.scored) for one in subsets])
        found = [_band(extrapolate(curve, target, chance)) for target in targets]
        held.append([low <= value <= high for (low, _, high), value in zip(found, truth, strict=True)])
        moved.append([middle - value for (_, middle, _), value in zip(found, truth, strict=True)])
        width.append([high - low for low, _, high in found])
    parts = (truth, np.mean(held, axis=0), np.mean(moved, axis=0), np.mean(width, axis=0))
    texts = (", ".join(f"{value:.3f}" for value in part) for part in parts)
    print(f"{name}, {n} cases; truth | held | moved | width: {' | '.join(texts)}", flush=True)


def _band(found: Estimate) -> tuple[float, float, float]:
    """Its lower limit, middle and upper limit, all of which are there."""
    assert found.low is not None and found.value is not None and found.high is not None, found.reason
    return found.low, found.value, found.high


def _fixed(labels: np.ndarray, chance: np.random.Generator) -> list[FoldRows]:
    ways = StratifiedKFold(5, shuffle=True, random_state=int(chance.integers(2**31)))
    return [FoldRows((fitted,), scored) for fitted, scored in ways.split(labels, labels)]


def _normal(
    features: int, telling: int, effect: float, n: int, chance: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(n) < 0.4 * n
    shift = np.zeros(features)
    shift[:telling] = effect
    return chance.normal(size=(n, features)) + np.outer(labels, shift), labels


def _phantoms(n: int, chance: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The signs of a phantom cohort of its own, of middling difficulty, without its images."""
    model = ExpressionModel.of(PhantomSettings(seed=int(chance.integers(2**31)), difficulty=0.6, ceiling_auc=0.9))
    patients = [draw_patient(model, f"PH{number:04d}") for number in range(1, n + 1)]
    signs = np.array([list(patient.signs.values()) for patient in patients])
    labels = np.array([patient.cps >= CPS_CUTOFF for patient in patients])
    return np.column_stack([signs, chance.normal(size=(n, 12))]), labels


WORLDS: dict[str, tuple[Draw, int]] = {
    "three of 10 features tell": (partial(_normal, 10, 3, 0.55), 20_000),
    "two of 30 tell": (partial(_normal, 30, 2, 0.6), 20_000),
    "nothing to learn": (partial(_normal, 10, 0, 0.0), 20_000),
    "signs of phantoms": (_phantoms, 4_000),
}


def _fit(features: np.ndarray, labels: np.ndarray) -> LogisticRegression:
    return LogisticRegression(max_iter=200).fit(features, labels)


def _mean_auc(draw: Draw, n: int, new: int, chance: np.random.Generator) -> float:
    features, labels = draw(new, chance)
    found = [auc(labels, _fit(*draw(n, chance)).decision_function(features)) for _ in range(FITS)]
    return float(np.mean(np.array(found, dtype=np.float64)))


if __name__ == "__main__":
    main()
