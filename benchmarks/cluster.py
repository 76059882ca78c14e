"""The folds of the demo on this machine and on a Ray cluster of two nodes, and whether the bytes are the same.

Two nodes of one core on one machine, started each by itself, with folders of their own: what is shown is that nothing
but Ray ties them, not that it is quicker. `python benchmarks/cluster.py FOLDER`; needs the extra `ray`.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from two_nodes import two_nodes

from autodls.phantom.cohort import PhantomSettings, write_cohort
from autodls.records.files import sha256_of_file

COMPARED = ("folds/*/*.safetensors", "folds/*/scores.csv", "folds/*/fold.json", "oof_scores.csv", "model/model.json")


def main() -> None:
    """Train twice and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cases", type=int, default=72, help="of the phantom; the demo has 72")
    asked = parser.parse_args()
    dataset, here, away = (asked.folder / name for name in ("dataset", "here", "away"))
    if not dataset.exists():
        settings = PhantomSettings(cases=asked.cases, external_cases=24, seed=0, difficulty=0.1)
        write_cohort(dataset, settings, workers=2)
        run("plan", dataset, here, "--preset", "demo", "--device", "cpu")
        run("preprocess", dataset, here)
        shutil.copytree(here, away)
    seconds = {"local": run("train", dataset, here, "fold", "all")}
    with two_nodes(asked.folder / "nodes") as cluster:
        words = ("fold", "all", "--executor", "ray", "--address", cluster.address)
        seconds["ray"] = run("train", dataset, away, *words)
    found = [hashes(root) for root in (here, away)]
    same = sum(found[0][name] == found[1].get(name) for name in found[0])
    print(f"{same} of {len(found[0])} files are the same, {len(found[1])} were made on the cluster")
    print(", ".join(f"{name}: {value:.0f} s" for name, value in seconds.items()))
    sys.exit(0 if found[0] == found[1] else 1)


def run(command: str, dataset: Path, workspace: Path, *words: str) -> float:
    """Run a command of ours on one thread; how many seconds it took."""
    began = time.monotonic()
    line = [sys.executable, "-m", "autodls", command, *words, "-d", str(dataset), "-w", str(workspace)]
    subprocess.run(line, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    return time.monotonic() - began


def hashes(root: Path) -> dict[str, str]:
    """SHA-256 of what training makes, by name."""
    paths = (path for pattern in COMPARED for path in root.glob(pattern))
    return {path.relative_to(root).as_posix(): sha256_of_file(path) for path in paths}


if __name__ == "__main__":
    main()
