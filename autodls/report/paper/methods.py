"""The methods of the paper: what plan, splits, model and metrics say, and marks where only an author knows.

The sentences are those with which the report answers the checklists (`checklists.filled.EVIDENCE`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from autodls.evaluation.results import ScoreMetrics, Survival
from autodls.report.artefacts import Artefacts
from autodls.report.checklists.evidence import known
from autodls.report.checklists.filled import told
from autodls.report.paper.blocks import Block, Cite, Gap, Paragraph, Part, not_there, under
from autodls.report.tables.interval_notes import is_over_patients


@dataclass(frozen=True)
class Topic:
    """A paragraph: entries of EVIDENCE, and what an author has to add to them."""

    label: str
    evidence: tuple[str, ...]
    gaps: tuple[str, ...] = ()


_STUDY = (
    Topic(
        "Design",
        ("kind",),
        ("prospective or retrospective; setting and dates; ethics approval and consent; registration and protocol",),
    ),
    Topic("Participants", ("sites",), ("inclusion and exclusion criteria; how the cases were found; treatments",)),
    Topic(
        "Outcome", ("outcome",), ("how, when and by whom the outcome was determined, and whether blinded to images",)
    ),
    Topic("Sample size", ("sample_size",), ("how the number of patients came about",)),
)
_IMAGES = (
    Topic(
        "Sequences",
        ("sequences", "grids", "missing_sequences"),
        ("scanners, field strength, sequence parameters, contrast agent; how the data were de-identified",),
    ),
    Topic(
        "Regions of interest", ("rois",), ("who drew or checked the ROIs, with what experience, software and rules",)
    ),
    Topic("Preprocessing", ("preprocessing", "intensity")),
)
_MODEL = (
    Topic("Network", ("architecture", "initial_weights")),
    Topic("Partition of the cases", ("partition", "disjoint")),
    Topic("Training", ("training", "imbalance", "selection")),
    Topic("Score and cut-off", ("ensemble", "recalibration", "output")),
)
_STATISTICS = (Topic("Measures", ("measures",)), Topic("Uncertainty", ("uncertainty",)))


def methods(study: Artefacts, by_mean: int | None) -> Iterator[Block]:
    """All parts; `by_mean` folds have the mean of the sequences as their score, None where that is not known."""
    yield from under("Study and patients", 2, _topics(_STUDY, study, by_mean))
    yield from under("Images and regions of interest", 2, _topics(_IMAGES, study, by_mean))
    yield from under("Model", 2, _topics(_MODEL, study, by_mean))
    yield from under("Statistical analysis", 2, [*_topics(_STATISTICS, study, by_mean), *_more(study)])
    yield from under("Software and data", 2, _software(study))


def _topics(topics: Sequence[Topic], study: Artefacts, by_mean: int | None) -> Iterator[Paragraph]:
    for topic in topics:
        texts, _, lacking = told(topic.evidence, study)
        parts: list[Part] = [" ".join([*texts, *_own(topic.label, study, by_mean)])] if texts else []
        sources = _sources(topic.label, study) if texts else ()
        parts += [Cite(sources)] if sources else []
        parts += [*(not_there(need) for need in lacking), *map(Gap, topic.gaps)]
        yield Paragraph(spaced(parts), topic.label)


def spaced(parts: Sequence[Part]) -> tuple[Part, ...]:
    """The parts with a space between them."""
    return tuple(part for at, one in enumerate(parts) for part in ((" ", one) if at else (one,)))


def _own(label: str, study: Artefacts, by_mean: int | None) -> Iterator[str]:
    """What belongs to a topic, and no checklist asks for."""
    if label == "Network" and by_mean and study.plan is not None:
        yield (
            f"In {by_mean} of {study.plan.training.folds} folds the transformer was not shown to be better than that "
            "mean, which is the score there."
        )
    if label == "Score and cut-off" and study.model is not None:
        yield from (f"Caution: {text}." for text in study.model.cautions)


def _sources(label: str, study: Artefacts) -> tuple[str, ...]:
    find = _SOURCES.get(label)
    return find(study) if find is not None else ()


def _of_rois(study: Artefacts) -> tuple[str, ...]:
    return ("isensee2021",) if study.model is not None and study.model.rois == "auto" else ()


def _of_images(study: Artefacts) -> tuple[str, ...]:
    rigid = study.plan is not None and study.plan.preprocessing.registration == "rigid"
    return ("mattes2003",) if rigid else ()


def _of_network(study: Artefacts) -> tuple[str, ...]:
    resnet = study.plan is not None and study.plan.network.encoder.startswith("resnet")
    return ("he2016" if resnet else "tan2019", "vaswani2017")


def _of_training(study: Artefacts) -> tuple[str, ...]:
    training = known(study.plan).training
    found = {"lin2017": True, "loshchilov2019": training.optimizer == "adamw"}
    return tuple(key for key, used in {**found, "isensee2021": training.augmentation == "nnunet"}.items() if used)


def _of_cutoff(study: Artefacts) -> tuple[str, ...]:
    return ("youden1950",) if any(one.cutoff.source.startswith("youden") for one in _scores(study)) else ()


def _of_measures(study: Artefacts) -> tuple[str, ...]:
    followed = _followed(study)
    of_events = ("kaplan1958", "schemper1996", "cox1972", "efron1977", "grambsch1994") if followed else ()
    landmark = any(cohort.landmark for cohort in study.metrics.cohorts.values()) if study.metrics else False
    table = ("austin2009",) if "baseline" in study.tables else ()
    plain = ("brier1950", "cox1958", "vancalster2019", "vickers2006")
    return (*plain, *of_events, *(("uno2007", "blanche2013") if landmark else ()), *table)


def _of_intervals(study: Artefacts) -> tuple[str, ...]:
    metrics = study.metrics
    several = metrics is not None and any(
        is_over_patients(cohort, metrics.reference) for cohort in metrics.cohorts.values()
    )
    firth = any(
        one is not None and one.method == "firth-profile"
        for held in _followed(study)
        for one in (held.cox, held.cox_per_sd)
    )
    clustered = ("obuchowski1997",) if several else ()
    return ("delong1988", "pepe2003", "wilson1927", "holm1979", "bengio2004", *clustered,
            *(("heinze2001",) if firth else ()))  # fmt: skip


def _scores(study: Artefacts) -> list[ScoreMetrics]:
    if study.metrics is None:
        return []
    return [cohort.scores[study.metrics.reference] for cohort in study.metrics.cohorts.values()]


def _followed(study: Artefacts) -> list[Survival]:
    if study.metrics is None:
        return []
    return [cohort.survival for cohort in study.metrics.cohorts.values() if cohort.survival is not None]


def _more(study: Artefacts) -> Iterator[Paragraph]:
    """Of analyses that only some studies have."""
    found = study.comparison
    if found is not None:
        radiomics = any("radiomics" in name for name in found.candidates)
        text = " ".join([found.nested, *([found.not_nested] if found.not_nested else [])])
        yield Paragraph((text, *((" ", Cite(("zwanenburg2020",))) if radiomics else ())), "Candidates")
    if study.patients is not None:
        text = "AUC on the test folds of fits on subsets, extrapolated by an inverse power law."
        yield Paragraph((text, " ", Cite(("figueroa2012",))), "Number of patients")
    if study.heatmaps:
        text = "Grad-CAM on three planes; compared with the maps of networks whose weights were shuffled."
        yield Paragraph((text, " ", Cite(("selvaraju2017", "adebayo2018"))), "Heat maps")


def _software(study: Artefacts) -> Iterator[Paragraph]:
    texts, _, lacking = told(("software",), study)
    noted = study.provenance.commands.get("evaluate") if study.provenance is not None else None
    conditions = noted.conditions if noted is not None else None
    if conditions is not None and conditions.precision:
        texts = (*texts, f"Held-out cohorts were scored in {conditions.precision}.")
    parts: list[Part] = [" ".join(texts)] if texts else []
    yield Paragraph(spaced([*parts, *(not_there(need) for need in lacking)]), "Software")
    weights, _, _ = told(("weights",), study)
    yield Paragraph(spaced([*weights, Gap("whether and where data, code and model can be had")]), "Availability")


_SOURCES: Mapping[str, Callable[[Artefacts], tuple[str, ...]]] = {
    "Design": lambda _study: ("ding2025",),
    "Regions of interest": _of_rois,
    "Preprocessing": _of_images,
    "Network": _of_network,
    "Training": _of_training,
    "Score and cut-off": _of_cutoff,
    "Measures": _of_measures,
    "Uncertainty": _of_intervals,
}
