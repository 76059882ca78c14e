"""`--figures` and `--labels` of `report` and `evaluate --scores`: figures for a journal, and what names are called."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from autodls.errors import ArgumentError
from autodls.records.labels import Labels
from autodls.records.lock import locked_output
from autodls.records.model_folders import PROVENANCE
from autodls.records.results_folder import ResultsFolder, clear_unfinished
from autodls.stages.provenance import note_output

if TYPE_CHECKING:
    from autodls.evaluation.metrics_record import Metrics
    from autodls.report.drawn import Format
    from autodls.report.journal import Figures

FORMATS: "tuple[Format, ...]" = ("pdf", "svg", "tiff")


@dataclass(frozen=True)
class Shown:
    """In which formats figures are written beside the report, and the file with labels; nothing of either is usual."""

    figures: tuple[str, ...] = ()
    labels: Path | None = None

    def __post_init__(self) -> None:
        if unknown := [name for name in self.figures if name not in FORMATS]:
            raise ArgumentError(f"--figures {unknown[0]}: no such format; there are {', '.join(FORMATS)}")

    def __bool__(self) -> bool:
        """Whether anything is asked."""
        return bool(self.figures) or self.labels is not None

    @property
    def formats(self) -> "tuple[Format, ...]":
        """The formats, each once."""
        return tuple(one for one in FORMATS if one in self.figures)

    @property
    def made_from(self) -> list[Path]:
        """The file with labels, where there is one."""
        return [self.labels] if self.labels is not None else []

    def read_labels(self) -> Labels | None:
        """The labels; raises ArgumentError where the file cannot be read or is not what it must be."""
        return None if self.labels is None else Labels.read(self.labels)


def journal_folder(report: Path) -> Path:
    """Where the figures of a `report` lie as a journal takes them: beside it.

    >>> journal_folder(Path("results/report.html")).as_posix()
    'results/report_figures'
    """
    return report.with_name(f"{report.stem}_figures")


def require_names(
    labels: Labels | None, metrics: "Metrics", sequences: Sequence[str] = (), training: Sequence[str] = ()
) -> None:
    """Raise ArgumentError for a label of a name that neither `metrics` have nor `training`, cohorts of a study."""
    if labels is None:
        return
    scores = dict.fromkeys(name for cohort in metrics.cohorts.values() for name in cohort.scores)
    followed = any(cohort.survival is not None for cohort in metrics.cohorts.values())
    own = [name for name in scores if name not in sequences]
    cohorts = dict.fromkeys([*metrics.cohorts, *training])
    labels.require_known(scores=own, cohorts=cohorts, sequences=sequences, followed=followed)


def labelling(labels: Labels | None) -> AbstractContextManager[None]:
    """What is drawn and printed inside shows the labels."""
    from autodls.report.naming import labelled

    return labelled(labels)


def replace_journal(
    folder: Path,
    figures: "Figures",
    formats: "Sequence[Format]",
    made_from: Sequence[Path],
    command: Sequence[str],
    *,
    overwrite: bool,
) -> list[Path]:
    """Write figures and their provenance.json into a folder of their own, in the place of what an earlier run left.

    Gives where they lie. Raises ArgumentError where a file there is not as autodls wrote it, such as a figure that
    somebody has edited.
    """
    from autodls.report.journal import save_journal

    results = journal_results(folder, overwrite=overwrite)
    with locked_output(folder):
        results.require_free()
        clear_unfinished(results)
        written = save_journal(results.unfinished, figures, formats)
        note_output(command, results.unfinished, "report --figures", None, made_from, written)
        replace(results, record=written[-1].name).publish([*written, results.unfinished / PROVENANCE])
    return [folder / path.name for path in (*written, results.unfinished / PROVENANCE)]


def journal_results(folder: Path, *, overwrite: bool) -> ResultsFolder:
    """The folder of figures beside a report."""
    return ResultsFolder(folder, "", overwrite=overwrite, option="--figures")
