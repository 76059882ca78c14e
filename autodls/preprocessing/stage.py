"""All cases of a cohort, in parallel; a case whose stored sample still fits is left alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autodls.errors import DatasetError
from autodls.parallel import map_parallel
from autodls.preprocessing.case import case_key, prepare_case
from autodls.preprocessing.shown import LEFT_OUT
from autodls.preprocessing.store import load_summary, save_sample
from autodls.records.case import Case
from autodls.records.files import link_or_copy
from autodls.records.plan import Plan
from autodls.records.preprocessing_plan import PreprocessingPlan
from autodls.records.problems import Problem, error, warning


@dataclass(frozen=True)
class _Task:
    """One case to prepare; small, and can be sent to another process."""

    case: str
    images: Mapping[str, Path]
    roi: Path | None
    roi_labels: frozenset[int]
    plan: PreprocessingPlan
    target: Path
    beside: tuple[Path, ...]


@dataclass(frozen=True)
class WrittenSamples:
    """What was written: the key of every sample by its case, and what a person should know, in the order of ids."""

    keys: dict[str, str]
    warnings: list[Problem]

    @property
    def left_out(self) -> int:
        """Cases whose pictures cut or miss tumour."""
        return len({problem.case for problem in self.warnings if LEFT_OUT in problem.what})


def preprocess_cases(
    cases: Sequence[Case],
    roi_labels: frozenset[int],
    plan: Plan,
    path_of: Callable[[str], Path],
    workers: int,
    advance: Callable[[str], None],
    beside: Sequence[Callable[[str], Path]] = (),
) -> WrittenSamples:
    """Write the sample of every case to `path_of(case id)` and call `advance` with each id as it is done.

    A sample whose key still fits plan and files is kept, so a killed run continues. Files have the same bytes whatever
    the number of `workers`, which are processes. One that lies `beside`, as another experiment made it of the same
    files by the same plan, is given a second name. Raises DatasetError, after all others are written, which lists every
    case that failed.
    """
    tasks = [
        _Task(
            case.id,
            dict(case.images),
            case.roi,
            roi_labels,
            plan.preprocessing,
            path_of(case.id),
            tuple(path(case.id) for path in beside),
        )
        for case in sorted(cases, key=lambda case: case.id)
    ]
    found = map_parallel(_work, tasks, [task.case for task in tasks], workers, advance)
    problems = [problem for _, of_case in found for problem in of_case]
    failed = [str(problem) for problem in problems if problem.is_error]
    if failed:
        raise DatasetError(f"{len(failed)} of {len(tasks)} cases cannot be prepared: " + " | ".join(failed))
    return WrittenSamples({task.case: key for task, (key, _) in zip(tasks, found, strict=True)}, problems)


def _linked(task: _Task, key: str) -> tuple[str, tuple[str, ...]] | None:
    """Key and flags of a sample beside with this `key`, which is given the name of the task's; None without one."""
    for path in task.beside:
        found = load_summary(path)
        if found and found[0] == key:
            link_or_copy(path, task.target)
            return found
    return None


def _work(task: _Task) -> tuple[str, list[Problem]]:
    """Prepare and store one case unless its stored sample still fits; its key, and what is to be said about it."""
    if task.roi is None:
        return "", [error(task.case, "has no ROI", "draw it on the ROI channel, or take the case out of the table")]
    try:
        key = case_key(task.images, task.roi, task.roi_labels, task.plan)
        stored = load_summary(task.target)
        if not (stored and stored[0] == key):
            stored = _linked(task, key)
        if stored:
            flags = stored[1]
        else:
            sample = prepare_case(task.case, task.images, task.roi, task.roi_labels, task.plan, key)
            save_sample(task.target, sample)
            flags = sample.flags
    except DatasetError as failure:
        what, _, repair = str(failure).removeprefix(f"case {task.case}: ").rpartition("; ")
        return "", [error(task.case, what, repair)]
    return key, [warning(task.case, flag, "look at the case") for flag in flags]
