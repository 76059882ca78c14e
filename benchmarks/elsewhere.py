"""What is locked, in another hospital of more patients than `benchmarks/candidates.py` has.

    python benchmarks/elsewhere.py OUT --seeds 21 22 23 --cases 150 [--workers 2]

OUT is the folder that `learning.py` and `candidates.py` wrote. The cohort of each seed is drawn again with more cases
of the other hospital, of which the first are those that were there (their ROIs are compared, byte by byte). All scores
of a case come from one `predict` of the locked `integrated` candidate, which keeps the log-odds of its parts; those of
`integrated_radiomics` from the weights that it is locked with. Nothing is chosen on any of these cases.
"""

import argparse
import csv
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autodls import Study
from autodls.evaluation.delong import auc_with_ci, compare_aucs
from autodls.inference.prediction import CaseScore
from autodls.phantom.cohort import TRUTH_FILE, PhantomSettings, write_cohort
from autodls.phantom.settings import CPS_CUTOFF, EXTERNAL_COHORT
from autodls.records.files import link_or_copy
from autodls.records.locked_candidate import CANDIDATE, LockedCandidate
from autodls.records.workspace import Workspace

PAIR, WHOLE, RADIOMICS = "integrated_radiomics", "integrated", "radiomics"


def main() -> None:
    """A line a seed, which is also put into OUT/elsewhere.jsonl."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--cases", type=int, default=150, help="of the other hospital")
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    for seed in asked.seeds:
        line = json.dumps({"seed": seed, **_judged(asked.out, seed, asked.cases, asked.workers)})
        print(line, flush=True)
        with (asked.out / "elsewhere.jsonl").open("a") as lines:
            lines.write(line + "\n")


def _judged(out: Path, seed: int, count: int, workers: int) -> dict[str, object]:
    first, drawn, place = out / f"phantoms_{seed}", out / f"more_{seed}", Workspace(out / f"workspace_{seed}")
    settings = PhantomSettings.model_validate(json.loads((first / TRUTH_FILE).read_text())["settings"])
    write_cohort(drawn, settings.model_copy(update={"external_cases": count}), workers=workers)
    for roi in (first / "labelsTr").iterdir():
        assert roi.read_bytes() == (drawn / "labelsTr" / roi.name).read_bytes(), f"{roi}: another patient"
    study = Study(first, place.root)
    study.compare(lock=PAIR, workers=workers)
    pair = LockedCandidate.load(place.candidate / CANDIDATE, "")
    study.compare(lock=WHOLE, workers=workers)
    with (drawn / "clinical.csv").open() as lines:
        labels = {row["case"]: int(row["cps"]) >= CPS_CUTOFF for row in csv.DictReader(lines)
                  if row["cohort"] == EXTERNAL_COHORT}  # fmt: skip
    cases = _scored(study, place, drawn, sorted(labels), workers)
    truth = np.array([labels[one.case] for one in cases])
    scores = _scores(cases, pair)
    reference = scores[RADIOMICS]
    aucs = {name: _text(auc_with_ci(truth, values)) for name, values in scores.items()}
    less = {name: _difference(truth, scores[name], reference) for name in (WHOLE, PAIR, "deep")}
    return {"n": len(cases), "positives": int(truth.sum()), **aucs, "less radiomics": less}


def _scored(study: Study, place: Workspace, drawn: Path, names: list[str], workers: int) -> list[CaseScore]:
    """The cases of the other hospital by the candidate that is locked."""
    elsewhere = drawn / "elsewhere"
    for name in names:
        for part in ("imagesTr", "labelsTr"):
            for path in (drawn / part).glob(f"{name}[_.]*"):
                (elsewhere / part).mkdir(parents=True, exist_ok=True)
                link_or_copy(path, elsewhere / part / path.name)
    found = study.predict(
        elsewhere / "imagesTr",
        elsewhere / "out",
        rois=elsewhere / "labelsTr",
        clinical=drawn / "clinical.csv",
        model=place.candidate,
        overwrite=True,
        workers=workers,
    )
    return [case for case in found.cases if case.dls is not None]


def _scores(cases: list[CaseScore], pair: LockedCandidate) -> dict[str, NDArray[np.float64]]:
    """Scores (n,) by candidate, in an order that is theirs: of a pair less its constant."""
    parts = {name: np.array([case.parts[name] for case in cases]) for name in cases[0].parts}
    weights = np.array(pair.coefficients) / np.array(pair.spread)
    both = sum(weight * parts[name] for name, weight in zip(pair.features, weights, strict=True))
    return {**parts, PAIR: np.asarray(both), WHOLE: np.array([case.dls for case in cases])}


def _difference(truth: NDArray[np.bool_], one: NDArray[np.float64], other: NDArray[np.float64]) -> str:
    found = compare_aucs(truth, one, other)
    return f"{found.delta:.3f} ({found.low:.3f} to {found.high:.3f})"


def _text(auc) -> str:
    return f"{auc.value:.3f} ({auc.low:.3f}-{auc.high:.3f})"


if __name__ == "__main__":
    main()
