"""Does it learn what is there? The product on phantoms, beside a forest of 25 numbers of the ROI and the ceiling.

    python benchmarks/learning.py OUT --seeds 1 2 3 [--cases 72] [--given training.epochs=40 network.encoder=resnet101]

Every seed is a cohort of its own: its training cases are scored out of fold, `--external` cases of another hospital by
the locked model. Settings over those of the preset `demo` are given as in a preset file. `best` is the best use of what
the phantom's images hide, on the very cases; no score can be expected to do better.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score

from autodls.phantom.cohort import PhantomSettings, PhantomTruth, write_cohort
from autodls.planning.presets import load_preset
from autodls.preprocessing.store import Sample, load_sample
from autodls.records.files import write_bytes, write_text
from autodls.records.plan import Plan
from autodls.records.splits import Splits
from autodls.records.table import read_table
from autodls.records.workspace import Workspace

RIM_PX, SURROUNDINGS_PX = 3, 4
TRAINING = "train (out of fold)"
AS_WRITTEN = "clinical.as-written.csv"


def main() -> None:
    """One line a seed, and the means."""
    options = _options()
    preset = options.out / "preset.json"
    options.out.mkdir(parents=True, exist_ok=True)
    base = json.loads(load_preset(options.preset).to_bytes())
    base["given"] |= dict(_given(word) for word in options.given)
    preset.write_text(json.dumps({**base, "name": "learning"}))
    rows = [_study(options, preset, seed) for seed in options.seeds]
    for row in [*rows, {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}]:
        seed = options.seeds[rows.index(row)] if row in rows else "mean"
        print(f"{seed:>5}  " + "  ".join(f"{name} {value:.3f}" for name, value in row.items()), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--cases", type=int, default=72)
    parser.add_argument("--external", type=int, default=24)
    parser.add_argument("--preset", default="demo")
    parser.add_argument("--given", nargs="*", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--permute-labels", action="store_true", help="the leak alarm: nothing can be learnt")
    return parser.parse_args()


def _given(word: str) -> tuple[str, object]:
    name, _, value = word.partition("=")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def _study(options: argparse.Namespace, preset: Path, seed: int) -> dict[str, float]:
    dataset, place = options.out / f"phantoms_{seed}", options.out / f"workspace_{seed}"
    settings = PhantomSettings(cases=options.cases, external_cases=options.external, seed=seed)
    truth = write_cohort(dataset, settings, workers=2)
    if options.permute_labels:
        _permute(dataset, seed)
    elif (dataset / AS_WRITTEN).exists():
        write_bytes(dataset / "clinical.csv", (dataset / AS_WRITTEN).read_bytes())
    for words in (["plan", "--preset", str(preset)], ["train", "fold", "all", "--at-once", "2"], ["evaluate"]):
        command = [sys.executable, "-m", "autodls", *words, "-d", str(dataset), "-w", str(place)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    metrics = json.loads((place / "results" / "metrics.json").read_text())
    found: dict[str, float] = {}
    for cohort, judged in metrics["cohorts"].items():
        short = "" if cohort == TRAINING else f"{cohort}:"
        found |= {f"{short}{name}": score["auc"]["value"] for name, score in judged["scores"].items()}
        if short:
            found[f"{short}slope"] = judged["scores"]["dls"]["calibration"]["slope"]
    return found | _references(Workspace(place), dataset, truth)


def _permute(dataset: Path, seed: int) -> None:
    """Give every row the outcome of another one, once: a folder that is used again has the same labels.

    They are shuffled in the table as it was written, which is kept beside it.
    """
    table, written = dataset / "clinical.csv", dataset / AS_WRITTEN
    if not written.exists():
        write_bytes(written, table.read_bytes())
    header, *lines = written.read_text().splitlines()
    column = header.split(",").index("cps")
    rows = [line.split(",") for line in lines]
    order = np.random.default_rng(seed).permutation(len(rows))
    outcomes = [rows[other][column] for other in order]
    for row, outcome in zip(rows, outcomes, strict=True):
        row[column] = outcome
    write_text(table, "\n".join([header, *(",".join(row) for row in rows)]) + "\n")


def _references(workspace: Workspace, dataset: Path, truth: PhantomTruth) -> dict[str, float]:
    """AUC on the training cases of a forest, out of the same folds, and of the hidden signs, each by its precision."""
    plan, splits = Plan.load(workspace.plan, ""), Splits.load(workspace.splits, "")
    labels = {row["case"]: int(row["cps"]) >= truth.cps_cutoff for row in read_table(dataset / "clinical.csv")}
    cases = sorted(case for fold in splits.folds for case in fold.validation)
    outcome = np.array([labels[case] for case in cases])
    numbers = {case: _numbers(load_sample(workspace.sample(case))) for case in cases}
    scores: dict[str, float] = {}
    for fold in splits.folds:
        known = [*fold.train, *fold.inner]
        forest = RandomForestClassifier(500, min_samples_leaf=2, random_state=0)
        forest.fit([numbers[case] for case in known], [labels[case] for case in known])
        scores |= zip(
            fold.validation, forest.predict_proba([numbers[case] for case in fold.validation])[:, 1], strict=True
        )
    signs = [
        sum(truth.cases[case].signs[name] / (truth.sign_noise[name] ** 2) for name in plan.sequences) for case in cases
    ]
    return {
        "forest": float(roc_auc_score(outcome, [scores[case] for case in cases])),
        "best": float(roc_auc_score(outcome, signs)),
    }


def _numbers(sample: Sample) -> list[float]:
    """Eight a sequence (mean, SD, core, rim, rim minus core, surroundings, contrast, Laplacian) and the area."""
    roi = sample.roi
    core = np.stack([ndimage.binary_erosion(plane, iterations=RIM_PX) for plane in roi])
    around = np.stack([ndimage.binary_dilation(plane, iterations=SURROUNDINGS_PX) for plane in roi]) & ~roi
    found = []
    for planes in sample.pixels.astype(np.float64):
        inside, middle, rim, outside = (_mean(planes, part) for part in (roi, core, roi & ~core, around))
        rough = np.stack([ndimage.laplace(plane) for plane in planes])
        found += [inside, planes[roi].std(), middle, rim, rim - middle, outside, inside - outside, rough[roi].std()]
    return [*found, float(roi.sum())]


def _mean(planes: NDArray[np.float64], part: NDArray[np.bool_]) -> float:
    return float(planes[part].mean()) if part.any() else 0.0


if __name__ == "__main__":
    main()
