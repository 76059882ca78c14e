"""The study at a glance, what to know before believing it, and where it all comes from."""

from collections.abc import Iterator, Sequence

from autodls import __version__
from autodls.analysis.findings import NEWS, by_kind
from autodls.evaluation.score_auc import OUT_OF_FOLD
from autodls.records.formatting import counted, number
from autodls.records.words import plural
from autodls.report.artefacts import ARTEFACTS, Artefacts
from autodls.report.html.page import Markup, Section, absent, bullets, data_table, el, joined, paragraph
from autodls.report.naming import cohort_label, labels_in_use, score_label, sequence_label
from autodls.report.weaknesses import weaknesses

_METRICS = ARTEFACTS["metrics"]
_LEARNED_FROM = (
    "The AUC of the cases that the model was trained on is no measure of it and is not shown here; the table of "
    "apparent against validated performance sets it beside the others."
)
_NOT_KNOWN = (
    "A table of scores does not tell which cases a model learned from: of those an AUC is no measure of it, whatever "
    "stands here. Who scored and labelled the cases, and how, is for whoever made the table to say."
)


def glance(study: Artefacts) -> Section:
    """The headline: AUC on cases that the model had not seen, the locked cut-off, the cases."""
    cards = [*_auc_cards(study), *_cutoff_card(study), *_case_cards(study)]
    parts = [
        _question(study),
        el("ul", *cards, class_="cards") if cards else Markup(""),
        absent(_METRICS) if study.metrics is None else Markup(""),
        paragraph(_LEARNED_FROM if study.of_table is None else _NOT_KNOWN),
    ]
    return Section("glance", "Study at a glance", joined(parts))


def warnings(study: Artefacts) -> Section:
    """Every weakness that the run itself can see, by kind, what speaks against the headline first."""
    found = by_kind(weaknesses(study))
    body = [part for kind, texts in found.items() for part in _of_kind(kind, texts)]
    body += [] if found else [paragraph("No weakness was found by the checks that were run.")]
    if study.of_table is None:
        body.append(el("h3", "What is not there yet"))
    if study.missing:
        lines = [(artefact.path, el("code", artefact.command)) for artefact in study.missing]
        body.append(data_table("Missing parts of the run", ("File or folder", "Command that makes it"), lines))
    elif study.of_table is None:
        body.append(paragraph("Nothing: the run is complete."))
    return Section("warnings", "What to know first", joined(body))


def _of_kind(kind: str, texts: Sequence[str]) -> tuple[Markup, Markup]:
    return el("h3", kind), bullets(texts, "warnings news" if kind == NEWS else "warnings")


def provenance(study: Artefacts) -> Section:
    """Versions of software and hashes of records."""
    made = {"autodls (this report)": __version__}
    trained = {} if study.model is None else {f"{name} (training)": text for name, text in study.model.versions.items()}
    body = [
        data_table("Software", ("Name", "Version"), [*made.items(), *trained.items()]),
        absent(ARTEFACTS["model"]) if study.model is None and study.of_table is None else Markup(""),
    ]
    if study.hashes:
        lines = [(name, el("code", digest)) for name, digest in study.hashes.items()]
        body.append(data_table("Records of this run", ("File", "SHA-256"), lines))
    if study.model is not None:
        files = [(name, el("code", digest)) for name, digest in study.model.files.items()]
        body.append(data_table("Weights of the locked model", ("File", "SHA-256"), files))
    body.append(_labels())
    return Section("provenance", "Software and hashes", joined(body))


def _labels() -> Markup:
    """Which label stands for which name of the data, where a person has set some."""
    shown = labels_in_use()
    lines = [("Score", *one) for one in shown.scores.items()]
    lines += [("Cohort", *one) for one in shown.cohorts.items()]
    lines += [("Sequence", *one) for one in shown.sequences.items()]
    classes, followed = shown.classes, (("End point", shown.endpoint), ("Unit of time", shown.survival_unit))
    lines += [("Class", name, text) for name, text in classes.model_dump().items() if text]
    lines += [(kind, "", text) for kind, text in followed if text]
    if not lines:
        return Markup("")
    return data_table("Labels: metrics.json and CSV files keep the names", ("Kind", "Name", "Label"), lines)


def _question(study: Artefacts) -> Markup:
    if study.of_table is not None:
        held = study.metrics.cohorts.values() if study.metrics is not None else ()
        scores = dict.fromkeys(score for cohort in held for score in cohort.scores)
        return paragraph(
            "Scores of the table ", el("strong", study.of_table), ": ", ", ".join(map(score_label, scores)), "."
        )
    if study.description is None:
        return absent(ARTEFACTS["description"])
    target = study.description.autodls.target
    return paragraph(
        "Dataset ", el("strong", study.description.name), ": ", el("strong", target.name), ", that is ",
        el("code", f"{target.rule}"), ", from ", ", ".join(map(sequence_label, study.description.sequences)), ".",
    )  # fmt: skip


def _card(name: str, value: str, detail: str, class_: str | None = None) -> Markup:
    parts = (("name", name), ("value", value), ("detail", detail))
    return el("li", *(el("span", text, class_=kind) for kind, text in parts), class_=class_)


def _auc_cards(study: Artefacts) -> Iterator[Markup]:
    if study.metrics is None:
        return
    for name in study.unseen_cohorts:
        cohort = study.metrics.cohorts[name]
        held = cohort.scores[study.metrics.reference]
        auc, (n, count) = held.auc, (cohort.n, cohort.positives) if held.n is None else (held.n, held.positives)
        held_out = "held-out cohort" if study.of_table is None else "cohort"
        where = "training cohort, out of fold" if name == OUT_OF_FOLD else f"{held_out} {cohort_label(name)}"
        limits = f"95% CI {number(auc.low)} to {number(auc.high)}" if auc.low is not None else auc.reason or ""
        positives = "" if count is None else f", {count} positive"
        yield _card(f"AUC, {where}", number(auc.value), f"{limits}; n = {n}{positives}", "headline")


def _cutoff_card(study: Artefacts) -> Iterator[Markup]:
    if study.model is not None:
        yield _card("Cut-off, locked", number(study.model.cutoff), f"{study.model.cutoff_source}; call at or above it")


def _case_cards(study: Artefacts) -> Iterator[Markup]:
    if study.fingerprint is not None:
        seen = study.fingerprint
        positives = counted(seen.positives, seen.cases)
        yield _card("Training cases", str(seen.cases), f"{positives} positive; {plural(seen.patients, 'patient')}")
    if study.plan is not None:
        names = ", ".join(map(sequence_label, study.plan.sequences))
        yield _card(
            "Sequences", str(len(study.plan.sequences)), f"{names}; {plural(study.plan.training.folds, 'fold')}"
        )
