"""log.jsonl of a fold: every epoch of every network, and after them whether it has learnt."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, TypeAdapter

from autodls.records.base import Record, parse_json

Fault = Literal["diverged", "no better than a guess"]


class Epoch(Record):
    """One line of the log: losses are means over cases, the inner ones over the inner hold-out."""

    stage: str
    epoch: int = Field(ge=0, lt=1 << 31)
    learning_rate: float
    train_loss: float
    inner_loss: float
    inner_auc: float | None
    best: bool
    seconds: float = Field(ge=0, le=1e9)


class Judgement(Record):
    """The line after the epochs of a stage; a guess is the best score that looks at no image, the same for all cases.

    Losses of the guess are means over the cases trained on and over the inner hold-out; `why` is a clause whose subject
    is the network, "" where there is no fault.
    """

    stage: str
    guess_train_loss: float
    guess_inner_loss: float
    fault: Fault | None
    why: str


LogLine = Epoch | Judgement
_LINE: TypeAdapter[LogLine] = TypeAdapter(LogLine)


@dataclass(frozen=True)
class LoggedStage:
    """What the log says of one network; logs of older versions hold no judgement."""

    stage: str
    epochs: tuple[Epoch, ...]
    judgement: Judgement | None

    @property
    def kept(self) -> Epoch | None:
        """The epoch whose weights were kept, the last best one; None before there is one."""
        return next((epoch for epoch in reversed(self.epochs) if epoch.best), None)


def told_of(stage: str, fold: int, why: str) -> str:
    """A judgement as a person is told of it.

    >>> told_of("T1WI", 0, "diverged")
    'T1WI of fold 0 diverged'
    """
    return f"{stage} of fold {fold} {why}"


def log_lines(path: Path) -> Iterator[LogLine]:
    """The lines of the log `path`; those of a damaged file that are none are left out: nothing is derived from them."""
    if path.exists():
        yield from lines_of(path.read_bytes())


def lines_of(content: bytes) -> Iterator[LogLine]:
    """The same of the `content` of a log."""
    for line in content.decode(errors="replace").splitlines():
        with suppress(ValueError, RecursionError):
            yield _LINE.validate_python(parse_json(line))


def logged_stages(log: Iterable[LogLine]) -> tuple[LoggedStage, ...]:
    """The lines by stage, in the order of the stages."""
    lines = list(log)
    stages = dict.fromkeys(line.stage for line in lines)
    judged = {line.stage: line for line in lines if isinstance(line, Judgement)}
    epochs = [line for line in lines if isinstance(line, Epoch)]
    return tuple(
        LoggedStage(stage, tuple(epoch for epoch in epochs if epoch.stage == stage), judged.get(stage))
        for stage in stages
    )
