"""Candidates beside each other, and what the network adds."""

from collections.abc import Iterator

from autodls.analysis.comparison_results import Comparison
from autodls.report.artefacts import Artefacts
from autodls.report.html.page import Markup, Section, bullets, el, figure, joined, paragraph, printed_table
from autodls.report.tables.candidates import adds_table, candidate_table, cost_sentence, difference_table

_COMMAND = "autodls compare"
_ALT = "Out-of-fold AUC with interval of every candidate and of the nested choice, with the AUC of every fold."
_CAPTION = (
    "Out-of-fold AUC (95% CI) of every candidate; below them that of whatever each fold chose in its training part. "
    "Small dots are single folds. Numbers: results/figures/candidates.csv."
)


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
    if "candidates" in study.figures:
        yield figure(study.figures["candidates"], _ALT, _CAPTION)
    yield printed_table(difference_table(found).printed, "results/tables/candidates_differences.csv")


def _stale(study: Artefacts, found: Comparison) -> Markup | None:
    """A paragraph where splits or scores that lie there now are not those that were compared."""
    changed = [name for name, sha256 in found.made_from.items() if study.hashes.get(name, sha256) != sha256]
    if not changed:
        return None
    return paragraph(
        f"Compared before {', '.join(changed)} changed: run ", el("code", _COMMAND), " again.", class_="absent"
    )
