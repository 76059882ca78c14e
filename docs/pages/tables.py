"""The columns of the CSV files that are a contract; a test compares them with what is written."""

from collections.abc import Mapping

SEQUENCE = "one column a sequence"
_CASE = {
    "case": "id of the case",
    "fold": "number of the fold that scored it, which did not see it",
    "label": "1 positive, 0 negative, empty where it is not known",
    "dls": "calibrated probability of the positive class: the deep learning score",
    "call": "`high` where `dls` is at or above the cut-off, else `low`",
    "cutoff": "the locked cut-off",
    "spread": "standard deviation of the folds' calibrated probabilities; empty for a candidate that is one model",
    "dls_raw": "the networks' softmax output before calibration, which focal loss pulls towards one half",
    SEQUENCE: "the score of that sequence alone; empty where the case lacks it",
    "present": "the sequences that the case has, separated by spaces",
    "rois": "`manual` or `auto`: whose ROI it was scored with",
    "flags": "what a person should know of this score, separated by semicolons; empty where there is nothing",
    "failed": "why the case has no score; then its other cells are empty",
}
_OF = {
    "predict": ("case", "dls", "call", "cutoff", "spread", SEQUENCE, "present", "rois", "flags", "failed", "dls_raw"),
    "oof": ("case", "fold", "label", "dls", "dls_raw", SEQUENCE, "present", "rois", "flags"),
    "held_out": ("case", "dls", "dls_raw", "spread", SEQUENCE, "rois", "flags", "failed", "label"),
}
COLUMNS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "scores.csv": (
        "Of `autodls predict`: a row for every case that was given.",
        {name: _CASE[name] for name in _OF["predict"]},
    ),
    "oof_scores.csv": (
        "Of `autodls train fold all`: every training case, scored by the fold that did not see it. `flags` is there "
        "with automatic ROIs and where a case has any.",
        {name: _CASE[name] for name in _OF["oof"]},
    ),
    "results/scores/COHORT.csv": (
        "Of `autodls evaluate`: a row for every case of a held-out cohort.",
        {name: _CASE[name] for name in _OF["held_out"]},
    ),
    "lesions.csv": (
        "Of `autodls predict`, where lesions are told apart: a row for each.",
        {
            "case": _CASE["case"],
            "lesion": "number of the lesion in the case, by volume from 1",
            "volume_ml": "its volume",
            "x_mm": "centre of its voxels, LPS: to the left",
            "y_mm": "the same: to the back",
            "z_mm": "the same: to the head",
            "dls": "what the model says of a patient with this lesion alone",
        },
    ),
}


def columns_page() -> str:
    """Markdown of the page."""
    parts = [
        "# CSV files",
        "Text is UTF-8, separated by commas; numbers have all their digits. A cell that a spreadsheet would run as a "
        "formula has an apostrophe before it. Columns are a contract: they are added to, and not renamed.",
    ]
    for file, (what, columns) in COLUMNS.items():
        lines = ["```{list-table}", ":header-rows: 1", ":class: fields", "", "* - column", "  - what it means"]
        for name, told in columns.items():
            lines += [f"* - {name if name == SEQUENCE else f'`{name}`'}", f"  - {told}"]
        parts += [f"## {file}", what, "\n".join([*lines, "```"])]
    return "\n\n".join(parts) + "\n"
