"""Every weakness of a study that its own run can see, as sentences; for every form of the report."""

from collections.abc import Iterator

from autodls.analysis.findings import DATA, MAPS, NEWS, RUN, UNSURE, Finding, merged, sentence
from autodls.analysis.news import Gain, news
from autodls.evaluation.caveats import EVENTS_PER_VARIABLE
from autodls.evaluation.metrics_record import Metrics
from autodls.evaluation.randomisation import PASSED, weights_verdict
from autodls.records.base import Record
from autodls.records.cells import read_number
from autodls.records.words import plural
from autodls.report.artefacts import ARTEFACTS, Artefacts
from autodls.report.html.learning import learning_warnings
from autodls.report.html.reprint import is_below_chance
from autodls.report.naming import cohort_label, score_label, sequence_label


def weaknesses(study: Artefacts) -> Iterator[Finding]:
    """Of the record itself, of metrics, plan, data and heat maps."""
    yield from (Finding(RUN, f"A file cannot be read: {fault}") for fault in study.faults)
    yield from (Finding(RUN, text) for text in _stale(study))
    yield from (Finding(NEWS, text) for text in learning_warnings(study))
    if study.metrics is not None:
        yield from _of_metrics(study.metrics)
        told = [*news(study.metrics, _gains(study)), *study.metrics.warnings]
        scores = dict.fromkeys(name for cohort in study.metrics.cohorts.values() for name in cohort.scores)
        yield from merged(told, tuple(study.metrics.cohorts), tuple(scores), (cohort_label, score_label))
    if study.plan is not None:
        yield Finding(UNSURE, f"Expected before training: {study.plan.expectation.statement}")
    if study.fingerprint is not None:
        for name, held in study.fingerprint.sequences.items():
            if held.share_missing > 0:
                share, shown = 100 * held.share_missing, sequence_label(name)
                yield Finding(DATA, f"Sequence {shown} is missing in {share:.1f}% of the training cases.")
    yield from (Finding(UNSURE, text) for text in _few_events(study))
    if (checked := weights_verdict(study.shuffled_map_correlations)) is not None and checked.verdict != PASSED:
        yield Finding(MAPS, sentence(checked.text))


def _of_metrics(metrics: Metrics) -> Iterator[Finding]:
    for name, cohort in metrics.cohorts.items():
        if cohort.positives is not None and cohort.n and cohort.positives in {0, cohort.n}:
            side = "positive" if cohort.positives else "negative"
            which = f"all {cohort.n} cases are {side}" if cohort.n > 1 else f"the only case is {side}"
            text = f"Cohort {cohort_label(name)}: {which}; this cannot show how well the score discriminates."
            yield Finding(NEWS, text)


def _gains(study: Artefacts) -> Iterator[Gain]:
    """How far the model lies above each baseline, of the saved table."""
    for line in study.tables.get("shortcuts", ()):
        try:
            auc, delta, low, high = (read_number(line[name]) for name in ("auc", "delta", "delta_low", "delta_high"))
        except (KeyError, ValueError):
            continue
        yield Gain(line.get("baseline", ""), auc, delta, low, high, is_below_chance(line))


def _stale(study: Artefacts) -> Iterator[str]:
    """Tables that are no longer those of the results, and records that are no longer those of the locked model."""
    for command, files in study.outdated.items():
        yield (
            f"{' and '.join(files)} changed after 'autodls {command}' was run, whose results are of what stood there "
            "before, and which has to be run again."
        )
    if study.model is None:
        if study.metrics is not None and study.of_table is None:
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
