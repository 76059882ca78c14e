"""Every candidate out of fold and in another hospital, on phantoms that `benchmarks/learning.py` has trained on.

    python benchmarks/candidates.py OUT --seeds 21 22 23 [--candidates clinical radiomics integrated] [--workers 2]

OUT is the folder that `learning.py` wrote. Each study is compared; then each candidate is locked in turn and scores the
cases of the other hospital with their manual ROIs, which nothing was chosen by. Of the networks that is what
`learning.py` found. `chosen` is the nested choice out of fold, and in the other hospital the one that is locked.
"""

import argparse
import csv
import json
import tempfile
from pathlib import Path

import numpy as np

from autodls import Study
from autodls.evaluation.delong import auc_with_ci
from autodls.phantom.settings import CPS_CUTOFF, EXTERNAL_COHORT
from autodls.records.files import link_or_copy
from autodls.records.locked_candidate import CANDIDATE, LockedCandidate
from autodls.records.workspace import Workspace

NETWORKS = "deep"


def main() -> None:
    """A line a seed, which is also put into OUT/candidates.jsonl."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--candidates", nargs="*", help="locked and scored elsewhere; by default all that can be")
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    for seed in asked.seeds:
        line = json.dumps({"seed": seed, **_judged(asked, seed)})
        print(line, flush=True)
        with (asked.out / "candidates.jsonl").open("a") as lines:
            lines.write(line + "\n")


def _judged(asked: argparse.Namespace, seed: int) -> dict[str, object]:
    dataset, place = asked.out / f"phantoms_{seed}", asked.out / f"workspace_{seed}"
    study = Study(dataset, place)
    found = study.compare(workers=asked.workers).comparison
    inside = {name: _text(one.auc) for name, one in found.candidates.items()}
    inside["chosen"] = _text(found.chosen.auc)
    metrics = json.loads((place / "results" / "metrics.json").read_text())
    outside = {NETWORKS: _interval(metrics["cohorts"][EXTERNAL_COHORT]["scores"]["dls"]["auc"])}
    locked = asked.candidates if asked.candidates is not None else list(found.candidates)
    for name in locked:
        auc = found.candidates[name].auc.value
        if name != NETWORKS and auc is not None and auc > 0.5:  # worse than chance is not locked
            study.compare(lock=name, workers=asked.workers)
            outside[name] = _elsewhere(study, Workspace(place), dataset, asked.workers)
    outside["chosen"] = outside.get(found.chosen.name, "not scored")
    return {"chosen": found.chosen.name, "by_fold": found.chosen.by_fold, "out_of_fold": inside, "elsewhere": outside}


def _elsewhere(study: Study, place: Workspace, dataset: Path, workers: int) -> str:
    """AUC of the locked candidate in the other hospital."""
    record = LockedCandidate.load(place.candidate / CANDIDATE, "")
    needs_columns = "clinical" in (record.candidate, *(part.candidate for part in record.parts))
    rows = [row for row in _rows(dataset) if row["cohort"] == EXTERNAL_COHORT]
    with tempfile.TemporaryDirectory(dir=dataset.parent) as folder:
        for row in rows:
            for part in ("imagesTr", "labelsTr"):
                for path in (dataset / part).glob(f"{row['case']}*"):
                    (Path(folder) / part).mkdir(exist_ok=True)
                    link_or_copy(path, Path(folder) / part / path.name)
        found = study.predict(
            Path(folder) / "imagesTr",
            Path(folder) / "out",
            model=place.candidate,
            rois=Path(folder) / "labelsTr",
            clinical=dataset / "clinical.csv" if needs_columns else None,
            workers=workers,
        )
    scores = {one.case: one.dls for one in found.cases}
    known = [row for row in rows if row["case"] in scores]
    truth = np.array([int(row["cps"]) >= CPS_CUTOFF for row in known])
    return _text(auc_with_ci(truth, np.array([scores[row["case"]] for row in known])))


def _rows(dataset: Path) -> list[dict[str, str]]:
    with (dataset / "clinical.csv").open() as lines:
        return list(csv.DictReader(lines))


def _text(auc) -> str:
    return f"{auc.value:.3f} ({auc.low:.3f}-{auc.high:.3f})"


def _interval(auc: dict[str, float]) -> str:
    return f"{auc['value']:.3f} ({auc['low']:.3f}-{auc['high']:.3f})"


if __name__ == "__main__":
    main()
