"""`check`: is the dataset what it is taken for?"""

from pathlib import Path

from autodls.planning.check import CheckReport, check_dataset
from autodls.records.cohort import join_cohort
from autodls.watch import SILENT, Watch


def check(dataset: Path, *, workers: int = 1, watch: Watch = SILENT) -> CheckReport:
    """What is wrong with the dataset folder, case by case, and how it is repaired; images are read by `workers`.

    Nothing is written. Raises DatasetError where dataset.json or the table cannot be read at all.
    """
    with watch.progress("checking cases", len(join_cohort(dataset).cohort.cases)) as advance:
        return check_dataset(dataset, workers, advance)
