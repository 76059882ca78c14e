"""The study at a glance, what to know before believing it, and where it all comes from."""

from collections.abc import Iterator, Sequence

from autodls import __version__
from autodls.analysis.findings import DATA, MAPS, NEWS, RUN, UNSURE, Finding, by_kind, merged, sentence
from autodls.analysis.news import Gain, news
from autodls.evaluation.caveats import EVENTS_PER_VARIABLE
from autodls.evaluation.metrics_record import Metrics
from autodls.evaluation.randomisation import PASSED, weights_verdict
from autodls.evaluation.score_auc import OUT_OF_FOLD
from autodls.records.base import Record
from autodls.records.cells import read_number
from autodls.records.formatting import counted, number
from autodls.records.words import plural
from autodls.report.artefacts import ARTEFACTS, Artefacts
from autodls.report.html.learning import learning_warnings
from autodls.report.html.page import Markup, Section, absent, bullets, data_table, el, joined, paragraph

_METRICS = ARTEFACTS["metrics"]


def glance(study: Artefacts) -> Section:
    """The headline: AUC on cases that the model had not seen, the locked cut-off, the cases."""
    cards = [*_auc_cards(study), *_cutoff_card(study), *_case_cards(study)]
    parts = [
        _question(study),
        el("ul", *cards, class_="cards") if cards else Markup(""),
        absent(_METRICS) if study.metrics is None else Markup(""),
        paragraph(
            "The AUC of the cases that the model was trained on is no measure of it and is not shown here; "
            "the table of apparent against validated performance sets it beside the others."
        ),
    ]
    return Section("glance", "Study at a glance", joined(parts))


def warnings(study: Artefacts) -> Section:
    """Every weakness that the run itself can see, by kind, what speaks against the headline first."""
    found = by_kind(_findings(study))
    body = [part for kind, texts in found.items() for part in _of_kind(kind, texts)]
    body += [] if found else [paragraph("No weakness was found by the checks that were run.")]
    body.append(el("h3", "What is not there yet"))
    if study.missing:
        lines = [(artefact.path, el("code", artefact.command)) for artefact in study.missing]
        body.append(data_table("Missing parts of the run", ("File or folder", "Command that makes it"), lines))
    else:
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
        absent(ARTEFACTS["model"]) if study.model is None else Markup(""),
    ]
    if study.hashes:
        lines = [(name, el("code", digest)) for name, digest in study.hashes.items()]
        body.append(data_table("Records of this run", ("File", "SHA-256"), lines))
    if study.model is not None:
        files = [(name, el("code", digest)) for name, digest in study.model.files.items()]
        body.append(data_table("Weights of the locked model", ("File", "SHA-256"), files))
    return Section("provenance", "Software and hashes", joined(body))


def _question(study: Artefacts) -> Markup:
    if study.description is None:
        return absent(ARTEFACTS["description"])
    target = study.description.autodls.target
    return paragraph(
        "Dataset ", el("strong", study.description.name), ": ", el("strong", target.name), ", that is ",
        el("code", f"{target.rule}"), ", from ", ", ".join(study.description.sequences), ".",
    )  # fmt: skip


def _card(name: str, value: str, detail: str, class_: str | None = None) -> Markup:
    parts = (("name", name), ("value", value), ("detail", detail))
    return el("li", *(el("span", text, class_=kind) for kind, text in parts), class_=class_)


def _auc_cards(study: Artefacts) -> Iterator[Markup]:
    if study.metrics is None:
        return
    for name in study.unseen_cohorts:
        cohort = study.metrics.cohorts[name]
        auc = cohort.scores[study.metrics.reference].auc
        where = "training cohort, out of fold" if name == OUT_OF_FOLD else f"held-out cohort {name}"
        limits = f"95% CI {number(auc.low)} to {number(auc.high)}" if auc.low is not None else auc.reason or ""
        positives = "" if cohort.positives is None else f", {cohort.positives} positive"
        yield _card(f"AUC, {where}", number(auc.value), f"{limits}; n = {cohort.n}{positives}", "headline")


def _cutoff_card(study: Artefacts) -> Iterator[Markup]:
    if study.model is not None:
        yield _card("Cut-off, locked", number(study.model.cutoff), f"{study.model.cutoff_source}; call at or above it")


def _case_cards(study: Artefacts) -> Iterator[Markup]:
    if study.fingerprint is not None:
        seen = study.fingerprint
        positives = counted(seen.positives, seen.cases)
        yield _card("Training cases", str(seen.cases), f"{positives} positive; {plural(seen.patients, 'patient')}")
    if study.plan is not None:
        names = ", ".join(study.plan.sequences)
        yield _card(
            "Sequences", str(len(study.plan.sequences)), f"{names}; {plural(study.plan.training.folds, 'fold')}"
        )


def _findings(study: Artefacts) -> Iterator[Finding]:
    yield from (Finding(RUN, f"A file cannot be read: {fault}") for fault in study.faults)
    yield from (Finding(RUN, text) for text in _stale(study))
    yield from (Finding(NEWS, text) for text in learning_warnings(study))
    if study.metrics is not None:
        yield from _of_metrics(study.metrics)
        told = [*news(study.metrics, _gains(study)), *study.metrics.warnings]
        scores = dict.fromkeys(name for cohort in study.metrics.cohorts.values() for name in cohort.scores)
        yield from merged(told, tuple(study.metrics.cohorts), tuple(scores))
    if study.plan is not None:
        yield Finding(UNSURE, f"Expected before training: {study.plan.expectation.statement}")
    if study.fingerprint is not None:
        for name, held in study.fingerprint.sequences.items():
            if held.share_missing > 0:
                share = 100 * held.share_missing
                yield Finding(DATA, f"Sequence {name} is missing in {share:.1f}% of the training cases.")
    yield from (Finding(UNSURE, text) for text in _few_events(study))
    if (checked := weights_verdict(study.shuffled_map_correlations)) is not None and checked.verdict != PASSED:
        yield Finding(MAPS, sentence(checked.text))


def _of_metrics(metrics: Metrics) -> Iterator[Finding]:
    for name, cohort in metrics.cohorts.items():
        if cohort.positives is not None and cohort.n and cohort.positives in {0, cohort.n}:
            side = "positive" if cohort.positives else "negative"
            which = f"all {cohort.n} cases are {side}" if cohort.n > 1 else f"the only case is {side}"
            text = f"Cohort {name}: {which}; this cannot show how well the score discriminates."
            yield Finding(NEWS, text)


def _gains(study: Artefacts) -> Iterator[Gain]:
    """How far the model lies above each baseline, of the saved table."""
    for line in study.tables.get("shortcuts", ()):
        try:
            values = [read_number(line[name]) for name in ("auc", "delta", "delta_low", "delta_high")]
        except (KeyError, ValueError):
            continue
        yield Gain(line.get("baseline", ""), *values)


def _stale(study: Artefacts) -> Iterator[str]:
    """Records that are no longer those that the model was locked with."""
    if study.model is None:
        if study.metrics is not None:
            yield f"The model of {ARTEFACTS['metrics'].path} is not there: the plan here may not be what was trained."
        return
    locked = {
        ARTEFACTS["plan"].path: study.model.plan_sha256,
        ARTEFACTS["fingerprint"].path: study.model.fingerprint_sha256,
        ARTEFACTS["splits"].path: study.model.splits_sha256,
        ARTEFACTS["out_of_fold"].path: study.model.oof_scores_sha256,
    }
    found = dict(study.hashes)
    # A model has them as they travel: the plan without the folder of a weights file, the fingerprint without hashes.
    if study.plan_now is not None:
        found[ARTEFACTS["plan"].path] = study.plan_now.without_paths().sha256()
    if study.fingerprint_now is not None:
        found[ARTEFACTS["fingerprint"].path] = study.fingerprint_now.travelling().sha256()
    own = {ARTEFACTS[name].path: path for name, path in study.paths.items()}
    for path, digest in locked.items():
        if found.get(path, digest) != digest:
            told = f"this report is of {own[path]}" if path in own else "what it says here may not be what was trained"
            yield f"{path} has changed since the model was locked: {told}."
    yield from _altered(study)


def _altered(study: Artefacts) -> Iterator[str]:
    """Records in the folder of the model that are not those that it was locked with."""
    if study.model is None:
        return
    locked: tuple[tuple[str, Record | None, str], ...] = (
        ("plan", study.plan, study.model.plan_sha256),
        ("fingerprint", study.fingerprint, study.model.fingerprint_sha256),
    )
    for name, record, digest in locked:
        if name in study.paths and record is not None and record.sha256() != digest:
            yield f"{study.paths[name]} is not the one that the model was locked with."


def _few_events(study: Artefacts) -> Iterator[str]:
    """Baselines with fewer patients of the rarer class per variable than advised."""
    counted = study.fingerprint.counts if study.fingerprint is not None else None
    for line in study.tables.get("shortcuts", ()):
        columns = [name for name in line.get("columns", "").split(" + ") if name]
        try:
            cases, positives = (int(read_number(line.get(name, "")) or 0) for name in ("n", "positives"))
        except ValueError:
            continue
        rarer = min(positives, cases - positives)
        if counted is not None:
            rarer = min(rarer, counted.positive, counted.negative)
        if columns and rarer < EVENTS_PER_VARIABLE * len(columns):
            yield (
                f"Shortcut baseline '{line.get('baseline', '')}': {plural(rarer, 'patient')} of the rarer class for "
                f"{plural(len(columns), 'variable')}; at least {EVENTS_PER_VARIABLE} a variable are "
                "advised, so it may look worse than it is."
            )
