"""Score tables as CSV, read and written without loss: numbers keep all their digits."""

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from autodls.errors import StaleRecordError
from autodls.records.base import Record, first_fault
from autodls.records.files import sha256_of_file, write_text
from autodls.records.model_folders import FoldFolder
from autodls.records.spelled import in_one_line
from autodls.records.table import read_table

Part = Literal["train", "inner", "validation"]
FUSED = "dls"
_REPAIR = "run 'autodls train fold all', which scores anew from the weights"
_CONTROLS = ("\t", "\r", "\n")
_FORMULA_SIGNS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


class FoldScore(Record):
    """One case scored by one fold."""

    case: str
    part: Part
    label: bool
    logits: dict[str, float] = Field(description="raw logit by row: FUSED and each sequence that the case has")
    log_odds: dict[str, float] = Field(description="the same on the fold's common scale")

    @model_validator(mode="after")
    def _fused(self) -> "FoldScore":
        if FUSED not in self.logits or FUSED not in self.log_odds:
            raise ValueError(f"case {self.case} has no number for '{FUSED}'")
        return self


class FoldRecord(Record):
    """What the scores of a fold were made from; it lies beside them."""

    format: Literal["autodls-fold/1"] = "autodls-fold/1"
    key: str = Field(description="of the last stage: SHA-256 of what its weights are derived from")
    weights: dict[str, str] = Field(description="SHA-256 of every file of weights by its name in the fold's folder")
    scores_sha256: str
    not_learnt: dict[str, str] = Field(default={}, description="what is wrong, by stage, with networks that scored it")


def fold_scores_csv(scores: Sequence[FoldScore], sequences: Sequence[str]) -> str:
    """The scores of one fold as they are written."""
    rows = (FUSED, *sequences)
    header = ["case", "part", "label", *(f"{kind}:{row}" for kind in ("logit", "log_odds") for row in rows)]
    lines = [
        [score.case, score.part, int(score.label), *_cells(score.logits, rows), *_cells(score.log_odds, rows)]
        for score in scores
    ]
    return csv_text(header, lines)


def load_fold_scores(folder: FoldFolder, sequences: Sequence[str]) -> list[FoldScore]:
    """The scores in `folder`; raises StaleRecordError unless they are those that its record was written with."""
    record = FoldRecord.load(folder.record, _REPAIR, StaleRecordError)
    if (found := sha256_of_file(folder.scores)) != record.scores_sha256:
        raise StaleRecordError(
            f"{folder.scores}: altered since it was written (SHA-256 {found[:12]}, was {record.scores_sha256[:12]}); "
            f"{_REPAIR}"
        )
    return read_fold_scores(folder.scores, sequences)


def read_fold_scores(path: Path, sequences: Sequence[str]) -> list[FoldScore]:
    """Read a table of `fold_scores_csv`; raises StaleRecordError for a damaged table."""
    rows = (FUSED, *sequences)
    try:
        return [
            FoldScore.model_validate(
                {
                    "case": line["case"],
                    "part": line["part"],
                    "label": {"0": False, "1": True}[line["label"]],
                    "logits": {row: float(line[f"logit:{row}"]) for row in rows if line[f"logit:{row}"]},
                    "log_odds": {row: float(line[f"log_odds:{row}"]) for row in rows if line[f"log_odds:{row}"]},
                }
            )
            for line in read_table(path)
        ]
    except (KeyError, ValueError) as failure:
        fault = first_fault(failure) if isinstance(failure, ValidationError) else repr(failure)
        raise StaleRecordError(f"{path}: damaged ({fault}); {_REPAIR}") from None


def write_csv(path: Path, header: Sequence[str], lines: Sequence[Sequence[object]]) -> None:
    """Write a table atomically; None becomes an empty cell and floats their shortest exact text.

    Text that a spreadsheet would run as a formula is disarmed (`without_formula`), and what would steer a terminal that
    shows the table is spelled (`in_one_line`); numbers stay as they are, and so do case ids and the names of our own
    columns, which hold no such sign.
    """
    write_text(path, csv_text(header, lines))


def csv_text(header: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    """The text that `write_csv` writes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_cell(name) for name in header])
    writer.writerows([[_cell(cell) for cell in line] for line in lines])
    return text.getvalue()


def without_formula(text: str) -> str:
    """`text` with an apostrophe before it where a spreadsheet would take it for a formula.

    That is text, other than a number, whose first sign is = + - or @, also full-width, or a tab or line end.
    Source: OWASP, CSV Injection.

    >>> without_formula("=1+1"), without_formula("-1.5"), without_formula("T1WI")
    ("'=1+1", '-1.5', 'T1WI')
    """
    if text.startswith(_CONTROLS) or (text.lstrip().startswith(_FORMULA_SIGNS) and not _is_number(text)):
        return f"'{text}"
    return text


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text.strip()) is not None


def _cell(value: object) -> object:
    if value is None:
        return ""
    if not isinstance(value, str):
        return value
    return in_one_line(without_formula(value))


def _cells(values: dict[str, float], rows: Sequence[str]) -> list[float | None]:
    return [values.get(row) for row in rows]
