"""MODEL_CARD.md: the locked model in words."""

from autodls.evaluation.score_auc import ScoreAuc
from autodls.evaluation.shared_folds import MEANING
from autodls.records.model import ModelRecord
from autodls.records.plan import Plan
from autodls.records.spelled import as_markdown, as_markdown_code


def model_card(record: ModelRecord, plan: Plan, rows: list[ScoreAuc], folds_by_mean: int = 0) -> str:
    """The model in Markdown: what it answers, what it was trained on, how well it did, what it must not be used for."""
    target = record.target
    sequences = as_markdown(", ".join(record.channel_names.values()))
    roi_channel, name = as_markdown(record.roi_channel), as_markdown(target.name)
    cases = f"{record.training_cases} cases"
    start = as_markdown(plan.network.encoder_weights)
    rois = f"a tumour ROI on the grid of\n  {roi_channel}. ROIs in training were {record.rois}."
    if record.rois == "auto":
        rois = (
            f"no ROI is needed: the model draws the\n  tumour itself, on the grid of {roi_channel}, by the "
            "networks in `segmentation/`. It was trained on such\n  automatic ROIs; a score from one drawn by hand is "
            "flagged."
        )
    cautions = "".join(f"\n**Caution**: {as_markdown(caution)}.\n" for caution in record.cautions)
    patients = f" ({record.training_patients} patients)" if record.training_patients is not None else ""
    mean, lesions = _by_mean(record, folds_by_mean), _lesions(plan)
    kept = ", which it keeps but for its last layer" if plan.network.encoder_frozen else ""
    guided = ", each plane on its own with the ROI in it" if plan.network.roi_guided else ""
    table = "\n".join(f"| {as_markdown(row.row)} | {row.n} | {row.positives} | {row.text} |" for row in rows)
    return f"""# Model card: {name}

For research; not a medical device.
{cautions}
- **Question**: {as_markdown_code(target.rule)} ({name}), per case.
- **Input**: {sequences}; files `CASE_0000{record.file_ending}` and so on, in that order; {rois}
- **Output**: `dls`, the calibrated probability of the positive class; the call is high at or above
  {record.cutoff:.4f} ({as_markdown(record.cutoff_source)}); Youden's would be {record.youden_cutoff:.4f}.{lesions}
- **Trained on**: {cases}{patients} of {as_markdown_code(record.dataset)}, {record.training_positives} positive.
  The probability holds for a population with that share of positives.
- **Network**: {record.folds} folds, each a {plan.network.encoder} per sequence (it started from
  {start} weights{kept}{guided}), PCA to {plan.network.pca_dims} channels, a fusion transformer.{mean}

| score, out of fold | cases | positive | AUC (95% CI) |
|---|---|---|---|
{table}

Each training case was scored by the fold that did not see it. {MEANING} {_of_rates(plan)}

**Not known**: how it does on other scanners, sequences or populations than those of `fingerprint.json`.
"""


def _of_rates(plan: Plan) -> str:
    """What sensitivity and specificity at the cut-off are of, out of fold."""
    chosen = (
        "Youden's cut-off was chosen on these same scores, so they\nare optimistic here too. "
        if plan.training.cutoff == "youden"
        else ""
    )
    return (
        "Sensitivity and specificity at the\ncut-off are those of single-fold models there, not of the ensemble, for "
        f"which they have no interval. {chosen}Judge\nthem on a held-out cohort."
    )


def _lesions(plan: Plan) -> str:
    """How several lesions of a patient are scored, where they are told apart."""
    told = plan.preprocessing.lesions
    if told is None:
        return ""
    by = "connected parts of the ROI" if told.told_by == "components" else "values of the ROI, one a lesion"
    return (
        f"\n- **Lesions**: {by}, from {told.least_mm3:g} mm3 on and at most {told.most} of a patient; each is scored, "
        "and\n  the patient's log-odds are the mean of theirs."
    )


def _by_mean(record: ModelRecord, folds: int) -> str:
    if not folds:
        return ""
    return (
        f"\n  In {folds} of the {record.folds} folds the transformer was not shown to be better than the mean of the "
        "sequences' log-odds,\n  which is the score there."
    )
