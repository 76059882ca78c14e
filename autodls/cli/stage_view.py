"""A run of several stages as a person sees it: a line a stage, with how far the one is that is being done."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Self

from autodls.cli.console import ProgressBar, Terminal, note, progress
from autodls.cli.manner import MANNER, shown_stream

if TYPE_CHECKING:
    from rich.progress import TaskID

    from autodls.stages.run import RunStage

_MARKS = {"to do": "[ ]", "doing": "[>]", "done": "[x]", "kept": "[=]"}


class StageView(Terminal):
    """The watch of all stages of a run; where stderr is no terminal, a line is written when a stage begins and ends."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._tasks: dict[str, TaskID] = {}
        self._now: str | None = None
        mark = TextColumn("{task.fields[mark]} {task.description}", markup=False)
        columns = (mark, BarColumn(20), TimeElapsedColumn(), TextColumn("{task.fields[word]}"))
        console = Console(file=shown_stream(), highlight=False)
        self._lines: Progress = Progress(*columns, console=console, disable=MANNER.quiet)
        self._is_live = console.is_terminal

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_failure: object) -> None:
        self._lines.stop()

    def told(self, stage: "RunStage") -> None:
        """Where a stage stands now."""
        if stage.name not in self._tasks:
            added = self._lines.add_task(stage.name, start=False, total=1, mark=_MARKS["to do"], word="")
            self._tasks[stage.name] = added
            return
        task, ended = self._tasks[stage.name], stage.standing in ("done", "kept")
        self._now = None if ended else stage.name
        word = "kept" if stage.standing == "kept" else ""
        self._lines.update(task, mark=_MARKS[stage.standing], word=word, total=1, completed=int(ended))
        if not ended:
            self._lines.start()
            self._lines.start_task(task)
        else:
            self._lines.stop_task(task)
        if not self._is_live:
            note(self._line(stage))

    @staticmethod
    def _line(stage: "RunStage") -> str:
        if stage.standing == "doing":
            return f"{stage.name} ..."
        return f"{stage.name}: kept" if stage.standing == "kept" else f"{stage.name}: done in {stage.seconds:.0f} s"

    def progress(self, title: str, total: int) -> AbstractContextManager[ProgressBar]:
        """How far the stage at work is, in its own line; before the first stage, a bar of its own."""
        return progress(title, total) if self._now is None else self._in_line(self._tasks[self._now], title, total)

    @contextmanager
    def _in_line(self, task: "TaskID", title: str, total: int) -> Iterator[ProgressBar]:
        bar = ProgressBar(self._lines, title, total, task)
        yield bar
        bar.finish()
        bar.tell_time()
