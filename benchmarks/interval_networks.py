"""Small studies with real networks: their out-of-fold scores, and the truth on new cases of the same hospitals.

    python benchmarks/interval_networks.py OUT [--studies 24] [--cases 48] [--new 300] [--report]

Every study is a cohort of its own, trained as the demo is. Its locked model and each of its fold models score the new
cases, which nothing else has seen; OUT/study_SEED.json keeps both. A study that is there is not done again. `--report`
trains nothing and says how the interval of the out-of-fold AUC fares in the studies that are there.
"""

import argparse
import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import chi2

from autodls.evaluation.delong import AucEstimate, auc_with_ci
from autodls.inference.inputs import list_inputs
from autodls.inference.model_folder import load_model
from autodls.inference.prepare import explained_samples
from autodls.inference.scoring import score_samples
from autodls.phantom.cohort import PhantomSettings, write_cohort
from autodls.planning.presets import load_preset
from autodls.preprocessing.store import Sample

NEW = "new"


def main() -> None:
    """All studies, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--studies", type=int, default=24)
    parser.add_argument("--first-seed", type=int, default=101)
    parser.add_argument("--cases", type=int, default=48)
    parser.add_argument("--new", type=int, default=300)
    parser.add_argument("--difficulty", type=float, default=0.5)
    parser.add_argument("--report", action="store_true", help="of the studies that are there")
    options = parser.parse_args()
    if options.report:
        report(sorted(options.out.glob("study_*.json")))
        return
    options.out.mkdir(parents=True, exist_ok=True)
    preset = options.out / "preset.json"
    given = json.loads(load_preset("demo").to_bytes())
    given["given"] |= {"training.fusion_epochs": 3}  # the mean of the sequences is what stands in studies of this size
    preset.write_text(json.dumps({**given, "name": "intervals"}))
    for seed in range(options.first_seed, options.first_seed + options.studies):
        kept = options.out / f"study_{seed}.json"
        if not kept.exists():
            kept.write_text(json.dumps(_study(options, preset, seed)))
        print(f"seed {seed} done", flush=True)


def report(files: Sequence[Path]) -> None:
    """The spread of the out-of-fold AUC beside its standard errors, and what its interval holds, old and new.

    The AUC of models trained so is the mean of the fold models' on the new cases over all studies; a study's own is
    known only as far as its new cases tell.
    """
    studies = [json.loads(path.read_text()) for path in files]
    names = [name for name in ("dls", "T1WI", "T2WI", "CE-T1WI") if name in studies[0]["out_of_fold"][0]]
    print(f"{len(studies)} studies of {len(studies[0]['out_of_fold'])} cases")
    for name in names:
        found = [_estimate(study["out_of_fold"], name) for study in studies]
        values = np.array([one.value for one in found])
        ratio = values.std(ddof=1) / np.sqrt(np.mean([one.variance for one in found]))
        least, most = (ratio * np.sqrt((len(found) - 1) / chi2.ppf(part, len(found) - 1)) for part in (0.975, 0.025))
        print(
            f"{name}: out-of-fold AUC {values.mean():.3f}, SD {values.std(ddof=1):.4f}, {ratio:.2f} times DeLong's "
            f"standard error (95% CI {least:.2f} to {most:.2f})"
        )
    folds = np.array([np.mean([_auc(study["new"], f"fold_{at}") for at in _folds(study)]) for study in studies])
    ensemble = np.array([_auc(study["new"], "dls") for study in studies])
    print(f"on new cases: fold models {folds.mean():.3f} (SD {folds.std(ddof=1):.3f}), ensemble {ensemble.mean():.3f}")
    for words, out_of_fold in (("DeLong", False), ("variance doubled", True)):
        limits = [_estimate(study["out_of_fold"], "dls", out_of_fold) for study in studies]
        held = {
            "models trained so": np.full(len(studies), folds.mean()),
            "the study's fold models": folds,
            "its ensemble": ensemble,
        }
        told = ", ".join(f"{what} {_held(limits, truth)} of {len(limits)}" for what, truth in held.items())
        print(f"{words}: the interval holds the AUC of {told}")


def _estimate(rows: list[dict[str, str]], name: str, out_of_fold: bool = False) -> AucEstimate:
    known = [row for row in rows if row[name]]
    labels = np.array([row["label"] == "1" for row in known])
    return auc_with_ci(labels, np.array([float(row[name]) for row in known]), out_of_fold=out_of_fold)


def _auc(rows: list[dict[str, str]], name: str) -> float:
    return _estimate(rows, name).value or 0.0


def _folds(study: dict[str, list[dict[str, str]]]) -> range:
    return range(sum(name.startswith("fold_") for name in study["new"][0]))


def _held(limits: Sequence[AucEstimate], truth: NDArray[np.float64]) -> int:
    return sum(
        one.low is not None and one.high is not None and one.low <= value <= one.high
        for one, value in zip(limits, truth, strict=True)
    )


def _study(options: argparse.Namespace, preset: Path, seed: int) -> dict[str, list[dict[str, str]]]:
    """Rows of the out-of-fold scores and of the new cases."""
    dataset, place = options.out / f"phantoms_{seed}", options.out / f"workspace_{seed}"
    settings = PhantomSettings(
        cases=options.cases + options.new, seed=seed, difficulty=options.difficulty, matrix_factor=0.7
    )
    write_cohort(dataset, settings, workers=2)
    _set_new_cases_apart(dataset / "clinical.csv", options.cases)
    for words in (["plan", "--preset", str(preset)], ["train", "fold", "all", "--at-once", "2"]):
        command = [sys.executable, "-m", "autodls", *words, "-d", str(dataset), "-w", str(place)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    found = {"out_of_fold": _rows(place / "oof_scores.csv"), "new": _new_scores(dataset, place / "model")}
    shutil.rmtree(dataset)
    shutil.rmtree(place)
    return found


def _new_scores(dataset: Path, folder: Path) -> list[dict[str, str]]:
    """Label, DLS of the ensemble and of every fold's model alone, of the new cases."""
    torch.set_num_threads(1)
    model = load_model(folder, torch.device("cpu"))
    table = {row["case"]: row for row in _rows(dataset / "clinical.csv") if row["cohort"] == NEW}
    listed = list_inputs(dataset / "imagesTr", dataset / "labelsTr", model.record)
    cases = [case for case in listed if case.id in table]
    labels = frozenset(model.record.roi_labels)
    made = explained_samples(cases, labels, model.plan.preprocessing, workers=2)
    samples = [sample for sample in made if isinstance(sample, Sample)]
    by_model = {"dls": model} | {f"fold_{i}": replace(model, folds=[fold]) for i, fold in enumerate(model.folds)}
    scores = {name: [float(one.dls[0]) for one in score_samples(each, samples)] for name, each in by_model.items()}
    return [
        {"case": sample.case, "label": str(int(int(table[sample.case]["cps"]) >= 20))}
        | {name: repr(values[row]) for name, values in scores.items()}
        for row, sample in enumerate(samples)
    ]


def _set_new_cases_apart(table: Path, cases: int) -> None:
    rows = _rows(table)
    for row in rows[cases:]:
        row["cohort"] = NEW
    with table.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def _rows(table: Path) -> list[dict[str, str]]:
    with table.open(newline="") as handle:
        return list(csv.DictReader(handle))


if __name__ == "__main__":
    main()
