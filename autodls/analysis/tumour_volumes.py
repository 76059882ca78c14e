"""Tumour volumes of cases, measured once for each ROI: what the shortcut baselines are told of the images."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from autodls.imaging.volumes import read_roi
from autodls.parallel import map_parallel
from autodls.planning.tumour import volume_ml
from autodls.records.case import Case
from autodls.records.files import sha256_of_input
from autodls.records.scores import write_csv
from autodls.records.table import read_table

_HEADER = ("case", "volume_ml", "roi_sha256")
_FEW_CASES = 32  # sooner measured than processes are started


def tumour_volumes(
    cases: Iterable[Case],
    labels: frozenset[int],
    path: Path,
    advance: Callable[[str], None] = lambda _case: None,
    workers: int = 1,
) -> dict[str, float]:
    """Volume in ml by case, of the ROI on its own grid, written to `path`; `workers` processes measure.

    A volume in `path` whose ROI still has the same hash is not measured again. Cases without an ROI are left out.
    Raises DatasetError for an ROI that cannot be read.
    """
    known: dict[str, dict[str, float]] = {}
    for row in _rows(path):
        known.setdefault(row["case"], {})[row["roi_sha256"]] = float(row["volume_ml"])
    tasks = [_Task(case.id, case.roi, labels, known.get(case.id, {})) for case in cases if case.roi is not None]
    started = workers if sum(not task.known for task in tasks) >= _FEW_CASES else 1
    lines = map_parallel(_measure, tasks, [task.case for task in tasks], started, advance)
    write_csv(path, _HEADER, lines)
    return {case: volume for case, volume, _ in lines}


@dataclass(frozen=True)
class _Task:
    """The ROI of one case, and volumes that were measured before by the hash of theirs."""

    case: str
    roi: Path
    labels: frozenset[int]
    known: Mapping[str, float]


def _measure(task: _Task) -> tuple[str, float, str]:
    digest = sha256_of_input(task.roi)
    held = task.known.get(digest)
    return task.case, volume_ml(read_roi(task.roi, task.labels)) if held is None else held, digest


def _rows(path: Path) -> list[dict[str, str]]:
    rows = read_table(path) if path.is_file() else []
    return [row for row in rows if row.keys() >= set(_HEADER)]
