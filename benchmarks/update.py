"""Does updating at a second site help, and what does it cost where nothing was to be done?

    python benchmarks/update.py phantoms OUT MODEL [MODEL ...]    locked models on phantoms of another hospital
    python benchmarks/update.py scores                             made-up scores, many cohorts of every size

Phantoms: every model scores `--cases` cases of hospital C whose share of positives is 0.6 instead of 0.4. Half of them
update the model, in each of the ways that there are; the other half judge what came out.

Scores: normal within their class, so that the truth is known. The first model expects 3 in 10 positive, and its
log-odds are 1 / `slope` times too wide. Shown is the expected log loss on new cases above that of the truth, what the
closed test chose, and how often the 95 % limits that are printed hold what the updated model has on 20,000 new cases.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
from scipy.special import expit, logit
from sklearn.model_selection import StratifiedKFold

from autodls.analysis.update_figures import FirstModel, Site, update_of
from autodls.analysis.updating import Update, choose_method, fit_update, has_enough_for_slope, log_odds_of
from autodls.evaluation.calibration import calibration
from autodls.phantom.cohort import PhantomSettings, write_cohort
from autodls.records.table import read_table
from autodls.records.update import Figure, Method
from autodls.scoring import Model, load_model

METHODS: tuple[Method, ...] = ("none", "intercept", "intercept+slope")


def main() -> None:
    """The part that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(required=True)
    phantoms = parts.add_parser("phantoms")
    phantoms.add_argument("out", type=Path)
    phantoms.add_argument("models", type=Path, nargs="+")
    phantoms.add_argument("--cases", type=int, default=160)
    phantoms.add_argument("--prevalence", type=float, default=0.6)
    phantoms.set_defaults(run=_phantoms)
    scores = parts.add_parser("scores")
    scores.add_argument("--cohorts", type=int, default=150)
    scores.set_defaults(run=_scores)
    options = parser.parse_args()
    options.run(options)


def _phantoms(options: argparse.Namespace) -> None:
    for number, folder in enumerate(options.models, start=1):
        site = options.out / f"site_{number}"
        settings = PhantomSettings(
            cases=0, external_cases=options.cases, seed=1000 + number, prevalence=options.prevalence
        )
        write_cohort(site, settings)
        model = load_model(folder, "cpu")
        labels, scores = _scored(model, site, options.out / f"scores_{number}.csv")
        cutoff, rule = model.record.cutoff, model.plan.training.cutoff
        half = len(labels) // 2
        new, seen = slice(half, None), slice(0, half)
        folds = _folds(labels[seen], number)
        told = update_of(Site("site", labels[seen], scores[seen], folds), FirstModel("", cutoff, rule, 0))[1]
        print(f"model {number}: {half} cases update it, {int(labels[seen].sum())} positive; chosen: {told.method}")
        for method in METHODS:
            update = fit_update(labels[seen], log_odds_of(scores[seen]), method, cutoff)
            print(f"  {method:15} on the other half: {_judged(update, rule, labels[new], scores[new])}")
        after = told.after
        print(f"  cross-fitted: large {_text(after.intercept_large)}, slope {_text(after.slope)}", flush=True)


def _scored(model: Model, site: Path, kept: Path) -> tuple[np.ndarray, np.ndarray]:
    """Labels and scores of the cases of `site`, which `kept` has from a run before."""
    positive = {row["case"]: float(row["cps"]) >= 20 for row in read_table(site / "clinical.csv")}
    if not kept.exists():
        found = model.predict(site / "imagesTr", site / "labelsTr")
        with kept.open("w", newline="") as handle:
            csv.writer(handle).writerows([("case", "dls"), *((one.case, repr(one.dls)) for one in found.cases)])
    rows = list(read_table(kept))
    return np.array([positive[row["case"]] for row in rows]), np.array([float(row["dls"]) for row in rows])


def _judged(update: Update, rule: str, labels: np.ndarray, scores: np.ndarray) -> str:
    new = update.scale.probability(log_odds_of(scores))
    found, called = calibration(labels, new), new >= update.cutoffs[rule]
    large = Figure(value=found.intercept_large, low=found.intercept_large_low, high=found.intercept_large_high)
    slope = Figure(value=found.slope, low=found.slope_low, high=found.slope_high)
    return (
        f"large {_text(large)}, slope {_text(slope)}, Brier {np.mean((new - labels) ** 2):.3f}, "
        f"sensitivity {called[labels].mean():.2f}, specificity {(~called)[~labels].mean():.2f}"
    )


def _text(figure: Figure) -> str:
    limits = "" if figure.low is None else f" ({figure.low:.2f} to {figure.high:.2f})"
    return f"{figure.value:.2f}{limits}"


def _folds(labels: np.ndarray, seed: int) -> list[int]:
    found = np.empty(len(labels), dtype=int)
    parts = StratifiedKFold(5, shuffle=True, random_state=seed).split(labels, labels)
    for fold, (_, held) in enumerate(parts):
        found[held] = fold
    return found.tolist()


def _scores(options: argparse.Namespace) -> None:
    chance = np.random.default_rng(1)
    print(
        "positive slope rarer | log loss x 1000: none, intercept, both, chosen | chosen: none, intercept, both | held"
    )
    for prevalence, slope in ((0.3, 1.0), (0.4, 1.0), (0.6, 1.0), (0.3, 0.5), (0.6, 0.5)):
        truth = _cohort(chance, 20000, prevalence, slope)
        for rarer in (10, 20, 40, 100):
            rows = [
                _one(_cohort(chance, round(rarer / min(prevalence, 1 - prevalence)), prevalence, slope), truth, seed)
                for seed in range(options.cohorts)
            ]
            losses = 1000 * np.mean([row[0] for row in rows], axis=0)
            chosen = [np.mean([row[1] == method for row in rows]) for method in METHODS]
            held = np.nanmean(np.array([row[2] for row in rows], dtype=float), axis=0)
            numbers = (" ".join(f"{value:.{digits}f}" for value in part) for part, digits in
                       ((losses, 1), (chosen, 2), (held, 2)))  # fmt: skip
            print(f"{prevalence} {slope} {rarer} | {' | '.join(numbers)}", flush=True)


def _cohort(chance: np.random.Generator, n: int, prevalence: float, slope: float) -> tuple[np.ndarray, ...]:
    """Labels, log-odds of the first model, and the true log-odds; at least six of each class."""
    labels = chance.random(n) < prevalence
    while min(labels.sum(), (~labels).sum()) < 6:
        labels = chance.random(n) < prevalence
    signs = 1.5 * chance.normal(np.where(labels, 0.75, -0.75))
    return labels, signs / slope + logit(0.3), signs + logit(prevalence)


def _one(cohort: tuple[np.ndarray, ...], truth: tuple[np.ndarray, ...], seed: int) -> tuple:
    """Excess log loss by method and of the chosen one, the chosen method, and whether the limits hold."""
    labels, first, _ = cohort
    method = choose_method(labels, first, slope=has_enough_for_slope(labels)).method
    updates = {name: fit_update(labels, first, name, 0.4) for name in METHODS}
    losses = [_excess(updates[name], truth) for name in (*METHODS, method)]
    site = Site("", labels, expit(first), _folds(labels, seed))
    after = update_of(site, FirstModel("", 0.4, "class_medians", 0))[1].after
    expected = calibration(truth[0], updates[method].scale.probability(truth[1]))
    called = updates[method].scale.probability(truth[1]) >= updates[method].cutoffs["class_medians"]
    held = (
        _holds(after.intercept_large, expected.intercept_large),
        _holds(after.slope, expected.slope),
        _holds(after.sensitivity, called[truth[0]].mean()),
        _holds(after.specificity, (~called)[~truth[0]].mean()),
    )
    return losses, method, held


def _excess(update: Update, truth: tuple[np.ndarray, ...]) -> float:
    probability, log_odds = expit(truth[2]), update.scale.log_odds(truth[1])
    return float(
        np.mean(np.logaddexp(0, log_odds) - probability * log_odds)
        - np.mean(np.logaddexp(0, truth[2]) - probability * truth[2])
    )


def _holds(figure: Figure, value: float | None) -> float:
    if figure.low is None or figure.high is None or value is None:
        return np.nan
    return float(figure.low <= value <= figure.high)


if __name__ == "__main__":
    main()
