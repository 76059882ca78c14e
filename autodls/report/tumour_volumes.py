"""Tumour volumes of cases, measured once for each ROI: what the shortcut baselines are told of the images."""

from collections.abc import Callable, Iterable
from pathlib import Path

from autodls.imaging.volumes import read_roi
from autodls.planning.tumour import volume_ml
from autodls.records.cohort import Case
from autodls.records.files import sha256_of_input
from autodls.records.scores import write_csv
from autodls.records.table import read_table

_HEADER = ("case", "volume_ml", "roi_sha256")


def tumour_volumes(
    cases: Iterable[Case], labels: frozenset[int], path: Path, advance: Callable[[str], None] = lambda _case: None
) -> dict[str, float]:
    """Volume in ml by case, of the ROI on its own grid, written to `path`.

    A volume in `path` whose ROI still has the same hash is not measured again. Cases without an ROI are left out.
    Raises DatasetError for an ROI that cannot be read.
    """
    known = {(row["case"], row["roi_sha256"]): float(row["volume_ml"]) for row in _rows(path)}
    lines: list[tuple[str, float, str]] = []
    for case in cases:
        if case.roi is not None:
            digest = sha256_of_input(case.roi)
            held = known.get((case.id, digest))
            lines.append((case.id, volume_ml(read_roi(case.roi, labels)) if held is None else held, digest))
        advance(case.id)
    write_csv(path, _HEADER, lines)
    return {case: volume for case, volume, _ in lines}


def _rows(path: Path) -> list[dict[str, str]]:
    rows = read_table(path) if path.is_file() else []
    return [row for row in rows if row.keys() >= set(_HEADER)]
