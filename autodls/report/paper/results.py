"""The results of the paper: sentences with the numbers of the metrics, and the tables and figures that they name."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from autodls.analysis.findings import by_kind
from autodls.report.artefacts import Artefacts
from autodls.report.captions import CAPTIONS, stand_ins
from autodls.report.checklists.filled import STATES, Answer, answers, counts, extent, read_checklist, told
from autodls.report.drawn import Printed
from autodls.report.html.reprint import by_outcome, reprinted
from autodls.report.html.rois import of_another_model
from autodls.report.naming import cohort_label
from autodls.report.paper.blocks import (
    RUN,
    Block,
    Cite,
    FigureBlock,
    Gap,
    Heading,
    Paragraph,
    Part,
    TableBlock,
    To,
    not_there,
    under,
)
from autodls.report.paper.methods import spaced
from autodls.report.sentences import (
    calibration,
    classification,
    comparisons,
    discrimination,
    landmark,
    locked_candidate,
    shortcuts,
    survival,
)
from autodls.report.tables.candidates import adds_table, candidate_table, cost_sentence, difference_table
from autodls.report.tables.folds import fold_table
from autodls.report.tables.images import images_table
from autodls.report.tables.patients import patients_table
from autodls.report.tables.patterns import pattern_table
from autodls.report.tables.rois import agreement_table
from autodls.report.tables.rois_effect import effect_table, robustness_table
from autodls.report.tables.study import comparison_table, performance_table
from autodls.report.tables.survival import landmark_table, survival_table
from autodls.report.weaknesses import weaknesses

CHECKED = ("claim", "tripod_ai")


@dataclass(frozen=True)
class Section:
    """A part of the results: its sentences, and the tables and figures, by key, that they name."""

    heading: str
    told: Callable[[Artefacts], Sequence[str | Gap]]
    tables: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()


def results(study: Artefacts, tables: Sequence[TableBlock], figures: Sequence[FigureBlock]) -> Iterator[Block]:
    """What came out, as far as it is there; each part names those of its tables and figures that the paper has."""
    there = {*(To("Table", one.key) for one in tables), *(To("Figure", one.key) for one in figures)}
    if study.metrics is None:
        yield Paragraph((not_there("metrics"),))
    for part in _PARTS:
        named = [To("Table", key) for key in part.tables] + [To("Figure", key) for key in part.figures]
        yield from under(part.heading, 2, _sentences(part.told(study), [one for one in named if one in there]))
    if study.heatmaps:
        yield Heading("Heat maps", 2)
        yield Paragraph((Gap("example heat maps of results/heatmaps, and how these cases were chosen"),))


def _sentences(texts: Sequence[str | Gap], to: Sequence[To]) -> Iterator[Paragraph]:
    if not texts:
        return
    parts: list[Part] = [*spaced(texts)]
    for at, one in enumerate(to):
        parts += [", " if at else " (", one]
    yield Paragraph((*parts, *([")"] if to else [])))


def _again(names: Sequence[str], command: str) -> list[Gap]:
    """The gap where something was made before what it is made from has changed."""
    return [Gap(f"made before {', '.join(names)} changed: run '{command}' again", RUN)] if names else []


def _added(study: Artefacts) -> list[str | Gap]:
    found, locked = study.comparison, study.candidate
    told: list[str | Gap] = []
    if found is not None:
        told += [*_again(study.changed(found.made_from), "autodls compare"), *(one.sentence for one in found.adds)]
        told.append(cost_sentence(found))
    if locked is not None:
        splits = study.hashes.get("splits.json", locked.splits_sha256)
        told += _again(["splits.json"] if splits != locked.splits_sha256 else [], "autodls compare --lock")
        told.append(f"Locked: {locked_candidate(locked)}")
    return told


def _rois(study: Artefacts) -> list[str | Gap]:
    found = study.roi_benchmark
    if found is None:
        return []
    told: list[str | Gap] = [*_again(["the model"] if of_another_model(study, found) else [], "autodls benchmark rois")]
    return [*told, *(f"{cohort_label(cohort)}: {held.sentence}" for cohort, held in (found.effect or {}).items())]


def _images(study: Artefacts) -> list[str | Gap]:
    found = study.image_benchmark
    if found is None:
        return []
    other = study.model is not None and study.model.sha256() != found.model
    again = _again(["the model"] if other else [], "autodls benchmark images")
    return [*again, "Calls that change, at the lowest and at the highest level of what was done to the images:",
            *(found.sentence(kind, cohort_label) for kind in found.kinds)]  # fmt: skip


def _cohorts(study: Artefacts) -> tuple[str, ...]:
    return told(("cohorts", "excluded"), study)[0]


def _patients(study: Artefacts) -> list[str | Gap]:
    found = study.patients
    if found is None:
        return []
    return [*_again(study.changed(found.made_from), "autodls benchmark patients"), found.sentence]


def limitations(study: Artefacts) -> Iterator[Block]:
    """Every weakness that the run itself can see, by kind."""
    for kind, texts in by_kind(weaknesses(study)).items():
        yield Heading(kind, 3)
        yield from (Paragraph((text,), bullet=True) for text in texts)


def tables_of(study: Artefacts) -> list[TableBlock]:
    """The tables that the study has: baseline, performance, then the others."""
    found: dict[str, Printed] = {}
    if lines := study.tables.get("baseline"):
        found["baseline"] = reprinted("baseline", lines)
    if study.metrics is not None:
        found["performance"] = performance_table(study.metrics).printed
    if lines := study.tables.get("baseline_by_outcome"):
        found |= {f"baseline_by_outcome_{at}": one for at, one in enumerate(by_outcome(lines), start=1)}
    found |= _of_metrics(study) | _saved(study) | _of_comparison(study) | _of_benchmarks(study)
    return [TableBlock(key, printed) for key, printed in found.items() if printed.lines]


def _of_metrics(study: Artefacts) -> dict[str, Printed]:
    if study.metrics is None:
        return {}
    held = study.metrics.cohorts.values()
    made = {"comparisons": comparison_table(study.metrics)}
    if any(cohort.folds for cohort in held):
        made["folds"] = fold_table(study.metrics)
    if any(cohort.patterns for cohort in held):
        made["sequences"] = pattern_table(study.metrics)
    if any(cohort.survival for cohort in held):
        made["survival"] = survival_table(study.metrics)
    if any(cohort.landmark for cohort in held):
        made["landmark"] = landmark_table(study.metrics)
    return {name: table.printed for name, table in made.items()}


def _saved(study: Artefacts) -> dict[str, Printed]:
    names = ("withheld", "ledger", "shortcuts")
    return {name: reprinted(name, study.tables[name]) for name in names if study.tables.get(name)}


def _of_comparison(study: Artefacts) -> dict[str, Printed]:
    found = study.comparison
    if found is None:
        return {}
    made = {"candidates": candidate_table(found), "candidates_differences": difference_table(found)}
    return {name: table.printed for name, table in made.items()} | (
        {"candidates_network": adds_table(found).printed} if found.adds else {}
    )


def _of_benchmarks(study: Artefacts) -> dict[str, Printed]:
    made: dict[str, Printed] = {}
    if (found := study.roi_benchmark) is not None:
        made["rois_agreement"] = agreement_table(found).printed
        made |= {"rois_effect": effect_table(found.effect).printed} if found.effect is not None else {}
        made |= {"rois_robustness": robustness_table(found).printed} if found.robustness is not None else {}
    if study.image_benchmark is not None:
        made["images_robustness"] = images_table(study.image_benchmark).printed
    if study.patients is not None:
        made["learning_curve"] = patients_table(study.patients).printed
    return made


def figures_of(study: Artefacts, pictures: Mapping[str, bytes]) -> list[FigureBlock]:
    """The figures that were drawn, in the order of their captions."""
    of_evaluation = ("cohort_flow", "roc", "calibration", "decision_curve", "kaplan_meier")
    return [
        FigureBlock(name, pictures[name], alt, f"{caption}{stand_ins(study) if name in of_evaluation else ''}")
        for name, (alt, caption) in CAPTIONS.items()
        if name in pictures
    ]


def checklist_state(study: Artefacts) -> Iterator[Block]:
    """How far CLAIM and TRIPOD+AI are answered."""
    for name in CHECKED:
        checklist = read_checklist(name)
        text = f"{extent(checklist)} {counts(answers(checklist, study))}"
        to = To("Table", f"checklist_{name}")
        yield Paragraph((f"{text} (", to, ") ", Cite((name,))), f"{checklist.name} ({checklist.year})")


def checklist_tables(study: Artefacts) -> list[TableBlock]:
    """The lists, item by item."""
    head = ("Item", "Section", "What is asked", "State", "Still to be said")
    tables = []
    for name in CHECKED:
        checklist = read_checklist(name)
        lines = tuple(_line(one) for one in answers(checklist, study))
        title = f"{checklist.name} ({checklist.year}), item by item"
        tables.append(TableBlock(f"checklist_{name}", Printed(title, head, lines)))
    return tables


def _line(answer: Answer) -> tuple[str, ...]:
    item, still = answer.item, [Gap(answer.item.author).text] if answer.item.author else []
    still += [f"run {', '.join(answer.commands)}"] if answer.commands else []
    return item.number, item.section, item.text, STATES[answer.state], "; ".join(still)


_PARTS = (
    Section("Cohorts", _cohorts, ("baseline",), ("cohort_flow",)),
    Section("Discrimination", discrimination, ("performance",), ("roc",)),
    Section("Calls at the cut-off", classification, ("performance",)),
    Section("Calibration and net benefit", calibration, (), ("calibration", "decision_curve")),
    Section("Single sequences", comparisons, ("comparisons", "sequences", "withheld")),
    Section("Survival", survival, ("survival",), ("kaplan_meier",)),
    Section("Durable benefit", landmark, ("landmark",)),
    Section("Without the images", shortcuts, ("shortcuts", "ledger")),
    Section(
        "What the network adds",
        _added,
        ("candidates_network", "candidates", "candidates_differences"),
        ("candidates", "candidates_decision"),
    ),
    Section("Automatic regions of interest", _rois, ("rois_agreement", "rois_effect"), ("rois_dice", "rois_scores")),
    Section("Worse images", _images, ("images_robustness",), ("images_robustness",)),
    Section("Number of patients", _patients, ("learning_curve",), ("learning_curve",)),
)
