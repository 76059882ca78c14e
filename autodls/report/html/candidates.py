"""Candidates beside each other, and what the network adds."""

from collections.abc import Iterator

from autodls.analysis.candidate_card import BY_PENALTY
from autodls.analysis.comparison_results import Comparison
from autodls.records.locked_candidate import LockedCandidate
from autodls.report.artefacts import Artefacts
from autodls.report.html.page import Markup, Section, bullets, el, joined, paragraph, printed_table
from autodls.report.html.pictures import if_drawn
from autodls.report.sentences import locked_candidate
from autodls.report.tables.candidates import adds_table, candidate_table, cost_sentence, difference_table

_COMMAND = "autodls compare"
_LOCKED = ("candidate_coefficients", "candidate_nomogram")


def candidates(study: Artefacts) -> Section:
    """The table, the forest plot and one sentence on the network; how to have them, where nothing was compared."""
    if study.comparison is None:
        return Section("candidates", "What the network adds", joined(_absent()))
    return Section("candidates", "What the network adds", joined(_body(study, study.comparison)))


def _absent() -> Iterator[Markup]:
    yield paragraph(
        "Not compared: whether the network adds anything to clinical variables, volume or radiomics is not known. Run ",
        el("code", _COMMAND), ".", class_="absent",
    )  # fmt: skip


def _body(study: Artefacts, found: Comparison) -> Iterator[Markup]:
    if (stale := _stale(study, found)) is not None:
        yield stale
    if found.adds:
        yield bullets([one.sentence for one in found.adds])
        yield printed_table(adds_table(found).printed, "results/tables/candidates_network.csv")
    else:
        yield paragraph("There is nothing to hold the network against, or no network: see the notes below the table.")
    yield el("h3", "Candidates on the same folds")
    yield paragraph(cost_sentence(found))
    yield printed_table(candidate_table(found).printed, "results/tables/candidates.csv")
    yield from if_drawn(study, "candidates")
    yield printed_table(difference_table(found).printed, "results/tables/candidates_differences.csv")
    if "candidates_decision" in study.figures:
        yield el("h3", "Decision curves")
        yield from if_drawn(study, "candidates_decision")
    if study.candidate is not None:
        yield from _locked(study, study.candidate)


def _locked(study: Artefacts, record: LockedCandidate) -> Iterator[Markup]:
    """What was locked, what it needs, and what it is made of."""
    yield el("h3", "Locked candidate")
    if study.splits is not None and study.splits.sha256() != record.splits_sha256:
        yield paragraph("Locked before splits.json changed: run ", el("code", "autodls compare --lock"), " again.",
                        class_="absent")  # fmt: skip
    yield paragraph(f"{locked_candidate(record)} Its model card lies beside it, in the folder candidate.")
    for name in _LOCKED:
        yield from if_drawn(study, name)
    yield paragraph(BY_PENALTY)


def _stale(study: Artefacts, found: Comparison) -> Markup | None:
    """A paragraph where splits or scores that lie there now are not those that were compared."""
    changed = study.changed(found.made_from)
    if not changed:
        return None
    return paragraph(
        f"Compared before {', '.join(changed)} changed: run ", el("code", _COMMAND), " again.", class_="absent"
    )
