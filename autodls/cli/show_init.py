"""`init`, as a person is asked and told."""

from collections.abc import Mapping
from pathlib import Path

import typer

from autodls.cli.console import note, say, say_json, show_table
from autodls.cli.show_study import show_check
from autodls.intake.columns import OnlyAPersonKnowsError
from autodls.intake.proposal import propose
from autodls.intake.scan import Scan
from autodls.records.spelled import in_one_line
from autodls.stages.init import Initialised


def ask(folder: Path, table: Path, given: Mapping[str, str]) -> dict[str, str]:
    """Every choice that is not `given`, one after the other, as an answer may change those after it."""
    scan, answers = Scan(folder, table), dict(given)
    for needed in ("outcome",):
        if needed not in answers:
            answers[needed] = _prompt(f"column of the {needed} ({', '.join(scan.rows[0])})", None)
    while True:
        try:
            waiting = [choice for choice in propose(scan, answers).choices if choice.key not in answers]
        except OnlyAPersonKnowsError as unknown:
            answers[unknown.key] = _prompt(str(unknown), None)
            continue
        if not waiting:
            return answers
        answers[waiting[0].key] = _prompt(f"{waiting[0].question} ({waiting[0].why})", waiting[0].value)


def _prompt(question: str, proposed: str | None) -> str:
    return str(typer.prompt(in_one_line(question), default=proposed, err=True)).strip()


def show_init(done: Initialised, *, as_json: bool) -> None:
    """What was chosen, what was guessed, what is left out, and what check says."""
    if as_json:
        say_json(done.summary)
        return
    rows = [[one.question, one.value, "guess" if one.guessed else "", one.why] for one in done.choices]
    show_table(f"Dataset {done.dataset}", ["", "is", "", "as"], rows)
    for line in done.notes:
        note(f"left out or to look at: {line}")
    say(f"{done.cases} cases, {done.images} images and {done.rois} ROIs in {done.dataset}")
    if done.guesses:
        say(f"{len(done.guesses)} choices are guesses: see that they are right in {done.dataset / 'dataset.json'}")
    show_check(done.check, following=f"autodls run -d {done.dataset}")
