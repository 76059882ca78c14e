"""What is fuzzed beside broken inputs: places for results, names, and small files that claim much."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fuzz_dicom import DicomTrial, make_dicom, run_dicom
from fuzz_limits import KINDS as LIMITS
from fuzz_limits import LimitTrial, make_limits, run_limits
from fuzz_names import TRIED, NameTrial, make_names, run_names
from fuzz_places import PlaceTrial, make_world, run_place


@dataclass(frozen=True)
class Group:
    """`make(root)` writes what trials start from, `draw(number)` is a trial, `run(made, trial, work)` its outcome."""

    make: Callable[[Path], Path]
    draw: Callable[[int], object]
    run: Callable[[Path, object, Path], str]


GROUPS = {  # "limits" first: its children are forked from a process that has started no threads of libraries yet
    "limits": Group(make_limits, lambda number: LimitTrial([*LIMITS][number % len(LIMITS)], number), run_limits),
    "places": Group(make_world, PlaceTrial, run_place),
    "dicom": Group(make_dicom, DicomTrial, run_dicom),
    "names": Group(make_names, lambda number: NameTrial(TRIED[number % len(TRIED)], number), run_names),
}
