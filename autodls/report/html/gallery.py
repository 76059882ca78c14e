"""The heat maps, case by case."""

from autodls.analysis.findings import sentence
from autodls.evaluation.randomisation import weights_verdict
from autodls.records.scores import FUSED
from autodls.report.artefacts import ALL_MAPS, ARTEFACTS, Artefacts
from autodls.report.html.page import (
    Markup,
    Section,
    absent,
    data_table,
    el,
    figure,
    joined,
    paragraph,
    shown_cell,
)

_MOST_PICTURES = 12  # of half a megabyte each


def gallery(study: Artefacts) -> Section:
    """Grad-CAM overlays."""
    title, key = "Grad-CAM", "heatmaps"
    if not study.heatmaps:
        return Section(key, title, absent(ARTEFACTS["heatmaps"]))
    fused_first = sorted(study.heatmaps.items(), key=lambda one: not one[0].endswith(f"_{FUSED}"))
    shown = fused_first[:_MOST_PICTURES]
    figures = [
        figure(
            picture, f"Heat map over the three planes, {name}", f"{name}: evidence for the positive class.", wide=False
        )
        for name, picture in shown
    ]
    text = (
        f"Where the networks saw evidence for the positive class, over the three planes, {_maps(study)}, the tumour "
        "outlined. A heat map shows what the network used, not why; it is no proof that it used the right thing."
    )
    more = f"{len(study.heatmaps) - len(shown)} more pictures lie in {ARTEFACTS['heatmaps'].path}."
    body = [
        paragraph(text),
        _map_shares(study),
        _randomisation(study),
        el("div", *figures, class_="gallery"),
        paragraph(more) if len(shown) < len(study.heatmaps) else Markup(""),
    ]
    return Section(key, title, joined(body))


def _maps(study: Artefacts) -> str:
    guided = study.plan is not None and study.plan.network.roi_guided
    return "each with a map of its own" if guided else "which share one map as channels of one picture"


def _map_shares(study: Artefacts) -> Markup:
    """Where the maps of the fused score lie, beside the share of the area: an indifferent map has that."""
    lines = [
        line
        for line in study.heatmap_tables.get("shares", ())
        if (line.get("score"), line.get("sequence")) == (FUSED, ALL_MAPS)
    ]
    if not lines:
        return Markup("")
    columns = ("tumour", "rim", "outside", "tumour_area")
    shown = [
        (line.get("case", ""), line.get("plane", ""), *(shown_cell(line.get(name, "")) for name in columns))
        for line in lines
    ]
    head = ("Case", "Plane", "In tumour", "5 mm rim", "Outside", "Area of tumour")
    return data_table("Share of the heat map of the fused score", head, shown)


def _randomisation(study: Artefacts) -> Markup:
    """The sanity check: maps must change when the weights are shuffled."""
    checked = weights_verdict(study.shuffled_map_correlations)
    if checked is None:
        return Markup("")
    return paragraph(el("strong", sentence(checked.text)), f" {sentence(checked.thresholds)}")
