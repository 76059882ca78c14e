"""What a study's files may be after a life that was cut short: whole, and every set of results of one run."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from killed_lives import Study
from safetensors.numpy import load as load_tensors

from autodls.records.files import sha256_of_file
from autodls.records.results_folder import UNFINISHED

_OTHERS = "(?!tumour_volume|images_)"
RECORDS = {  # of each set, which lies there when all of it does; tumour_volume.csv is kept by the hash of each ROI
    r"predicted/": "predicted/scores.csv",
    r"judged/": "judged/metrics.json",
    r"made/": "made/dataset.json",
    rf"workspace/results/(metrics\.json|(tables|figures)/{_OTHERS})": "workspace/results/metrics.json",
    r"workspace/results/scores/external\.": "workspace/results/scores/external.json",
    r"workspace/results/heatmaps/": "workspace/results/heatmaps/cases.csv",
    r"workspace/results/(benchmark_images\.json|(tables|figures)/images_)": "workspace/results/benchmark_images.json",
    r"workspace/results/(benchmark_rois\.json|rois_tables/)": "workspace/results/benchmark_rois.json",
}
RECORDS |= {
    pattern.replace("workspace/", "ran/"): record.replace("workspace/", "ran/")
    for pattern, record in RECORDS.items()
    if pattern.startswith("workspace/")
}
GROWING = ("provenance.json", "benchmark_rois_scores.json", "benchmark_images_scores.json")
KEPT_ROWS = ".partial.jsonl"  # scores that are finished, until all are


@dataclass
class Generations:
    """The hashes of all files after each step of an uninterrupted run."""

    after: list[Mapping[str, str]] = field(default_factory=list)

    def add(self, study: Study) -> None:
        """Note what a step has left."""
        self.after.append(study.hashes())

    @property
    def last(self) -> Mapping[str, str]:
        """What is there at the end."""
        return self.after[-1]

    def knows(self, name: str, sha256: str) -> bool:
        """Whether an uninterrupted run had this file so at some time."""
        return any(held.get(name) == sha256 for held in self.after)

    def require_one_run(self, study: Study, where: str, *, exchanged: bool) -> None:
        """Every set of results is of one run: all of it, or none of it.

        Of one that was `exchanged` as its command was killed, some may be there, but never its record without the rest.
        """
        held = {
            path.relative_to(study.root).as_posix(): path
            for path in study.root.rglob("*")
            if path.is_file() and UNFINISHED not in path.parts and not path.name.startswith(".tmp-")
        }
        for pattern, record in RECORDS.items():
            found = {name: sha256_of_file(path) for name, path in held.items() if _is_part(name, pattern)}
            runs = [{name: one[name] for name in one if _is_part(name, pattern)} for one in self.after]
            part = exchanged and record not in found
            fits = any(found.items() <= run.items() if part else found == run for run in [{}, *runs])
            assert fits, f"{where}: the files of {pattern} are of no one run: {sorted(found)}"


def _is_part(name: str, pattern: str) -> bool:
    return bool(re.match(pattern, name)) and not name.endswith((*GROWING, KEPT_ROWS))


def require_rows(path: Path) -> None:
    """Rows that are appended as they come: only the last may be torn, in the life that wrote it."""
    *whole, _ = path.read_bytes().split(b"\n")
    for row in whole:
        json.loads(row)


def require_whole(path: Path) -> None:
    """A file of ours that differs from run to run can be read to its end."""
    if path.suffix == ".jsonl":
        for line in path.read_text().splitlines():
            json.loads(line)
    elif path.suffix == ".json":
        json.loads(path.read_text())
    elif path.suffix == ".safetensors":
        load_tensors(path.read_bytes())
