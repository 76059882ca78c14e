"""What plan, splits, model and dataset say of how a study was done."""

from collections.abc import Mapping

from autodls.records.plan import Plan
from autodls.records.preprocessing_plan import IntensityPlan
from autodls.report.artefacts import Artefacts
from autodls.report.checklists.evidence import Evidence, known, says
from autodls.report.naming import sequence_label

_OPTIMIZERS = {"sgd": "SGD", "adamw": "AdamW"}


def _kind(study: Artefacts) -> str:
    plan = known(study.plan)
    return (
        f"Development by cross-validation, and evaluation on held-out cohorts where there are any, of a deep-learning "
        f"model ({plan.network.encoder} for each of {len(plan.sequences)} sequences, fused by a transformer"
        f"{_fallback(plan)})."
    )


def _fallback(plan: Plan) -> str:
    """What may stand in the place of the transformer."""
    if plan.network.fusion.fallback == "none":
        return ""
    return " or, in a fold where that is not shown to be better, by the mean of their log-odds"


def _outcome(study: Artefacts) -> str:
    settings = known(study.description).autodls
    text = f"'{settings.target.name}': column '{settings.target.column}' {settings.target.condition}."
    if settings.survival is None:
        return text
    survival = settings.survival
    mark = f", landmark {survival.landmark:g} {survival.unit}" if survival.landmark is not None else ""
    return f"{text} Follow-up: time '{survival.time}', event '{survival.event}', in {survival.unit}{mark}."


def _sites(study: Artefacts) -> str:
    sites = known(study.fingerprint).sites
    if not sites:
        return "No site is recorded for the training cases, so the number of centres is not known."
    named = ", ".join(f"{name} ({count})" for name, count in sites.items())
    return f"{len(sites)} sites in the training cohort: {named} cases."


def _preprocessing(study: Artefacts) -> str:
    plan = known(study.plan).preprocessing
    return (
        f"Registration '{plan.registration}'; {plan.spacing_mm:g} mm isotropic; axial, coronal and sagittal plane of "
        f"the largest area of the tumour's largest connected part, {plan.crop_mm:g} mm wide, {plan.slice_size_px} px "
        f"stored, {plan.input_size_px} px used. "
        "'autodls check' tests every image, ROI and row; the run does not record whether it was used."
    )


def _intensity(study: Artefacts) -> str:
    plans = known(study.plan).preprocessing.intensity
    return f"Intensity: {'; '.join(f'{sequence_label(name)}: {_scale(plan)}' for name, plan in plans.items())}."


def _scale(plan: IntensityPlan) -> str:
    if plan.window is None:
        return plan.scheme
    return f"{plan.scheme} of {plan.window[0]:g} to {plan.window[1]:g} {'HU' if plan.window_suv is None else 'SUV'}"


def _sequences(study: Artefacts) -> str:
    plan = known(study.plan)
    names, drawn_on = ", ".join(map(sequence_label, plan.sequences)), sequence_label(plan.preprocessing.roi_channel)
    return f"Predictors are the images: {names}, at the ROI on {drawn_on}."


def _rois(study: Artefacts) -> str:
    model = known(study.model)
    drawn_on = sequence_label(model.roi_channel)
    if model.rois == "manual":
        return (
            f"The model was trained on the ROIs that the dataset gives, on {drawn_on}; the run does not show who or "
            "what drew them."
        )
    return f"The model was trained on ROIs made by out-of-fold automatic segmentation on {drawn_on}."


def _automated_rois(study: Artefacts) -> str:
    if known(study.model).rois == "manual":
        return "Does not apply: the model was trained on the ROIs that the dataset gives."
    return "The model was trained on automatic ROIs."


def _sample_size(study: Artefacts) -> str:
    return known(study.plan).expectation.statement


def _missing_sequences(study: Artefacts) -> str:
    lacking = {name: held.share_missing for name, held in known(study.fingerprint).sequences.items()}
    shares = ", ".join(f"{sequence_label(name)} {100 * share:.1f}%" for name, share in lacking.items())
    return (
        f"Training cases without a sequence: {shares}. In the transformer a missing sequence is replaced by a learned "
        "token; in a fold that is fused by the mean, it is left out."
    )


def _partition(study: Artefacts) -> str:
    splits = known(study.splits)
    other = "" if study.splits_are_locked else " These are not the splits that the model was locked from."
    sizes = ", ".join(f"{len(fold.train)}/{len(fold.inner)}/{len(fold.validation)}" for fold in splits.folds)
    return (
        f"{len(splits.folds)} folds over the training cohort alone, stratified by label, seed {splits.seed}; cases "
        f"that are trained on / in the inner hold-out / scored: {sizes}. 'autodls plan', 'segment' and 'train' open no "
        "image or ROI of a held-out case and use none of their labels; 'autodls check' reads the images of all "
        f"cohorts, to look for faults.{other}"
    )


def _disjoint(study: Artefacts) -> str:
    column = known(study.description).autodls.patient
    if column is None:
        return "Case: dataset.json names no patient column, so every case counts as a patient of its own."
    return f"Patient, by column '{column}'; splits that part the cases of a patient are refused."


def _architecture(study: Artefacts) -> str:
    plan = known(study.plan)
    network, by_hand = plan.network, plan.by_hand
    own = f"; set by hand: {', '.join(by_hand)}" if by_hand else ""
    return (
        f"{network.encoder} per sequence; its last feature map reduced to {network.pca_dims} channels by PCA; a "
        f"transformer of {network.fusion.layers} layers and {network.fusion.heads} heads over the maps of all "
        f"sequences; softmax. Fused by it{_fallback(plan)}. The reasons of the settings stand in the plan{own}."
    )


def _training(study: Artefacts) -> str:
    plan = known(study.plan).training
    length = f"at most {plan.epochs} epochs, patience {plan.patience}"
    length = f"{plan.epochs} epochs" if plan.kept_epoch == "last" else length
    return (
        f"{_OPTIMIZERS[plan.optimizer]}, learning rate {plan.learning_rate:g}, batch {plan.batch_size}, "
        f"{length}, {plan.loss} loss (gamma {plan.focal_gamma:g}), augmentation "
        f"'{plan.augmentation}', {plan.precision}, seed {plan.seed}."
    )


def _selection(study: Artefacts) -> str:
    plan = known(study.plan).training
    held = f"an inner hold-out ({100 * plan.inner_holdout:g}% of the fold's training part)"
    kept = (
        "Encoders are kept as they are at the end of the schedule; of the fusion the epoch with the smallest loss on "
        f"{held}"
        if plan.kept_epoch == "last"
        else f"In each fold the epoch with the smallest loss on {held}"
    )
    return (
        f"{kept}, which is neither trained on nor among the cases that the fold scores out of fold, is kept. The same "
        "hold-out sets the scale of the fold's scores."
    )


def _initial_weights(study: Artefacts) -> str:
    network = known(study.plan).network
    kept = " and are kept: of an encoder only the last linear layer is fitted" if network.encoder_frozen else ""
    return f"Encoder weights: {network.encoder_weights}{kept}; the other layers start at random."


def _ensemble(study: Artefacts) -> str:
    return f"New cases are scored by the mean log-odds of {known(study.model).folds} fold models, then recalibrated."


def _prediction(study: Artefacts) -> str:
    model = known(study.model)
    scale = model.ensemble_recalibration or model.recalibration
    return (
        "'autodls predict -m MODEL -i IMAGES'; score = 1 / (1 + exp(-(a + b x))), x the mean log-odds of the folds, "
        f"a = {scale.intercept:.6g}, b = {scale.slope:.6g}."
    )


def _imbalance(study: Artefacts) -> str:
    plan = known(study.plan).training
    return f"Focal loss with weight {plan.focal_alpha:g} of the positive class; no resampling."


def _recalibration(study: Artefacts) -> str:
    model = known(study.model)
    scale, of_mean = model.recalibration, model.ensemble_recalibration
    text = f"Logistic recalibration on out-of-fold scores: intercept {scale.intercept:.4g}, slope {scale.slope:.4g}"
    if of_mean is not None:
        text += (
            f"; for the mean of the folds, whose scores correlate by {known(model.fold_correlation):.2f} within a "
            f"class, intercept {of_mean.intercept:.4g}, slope {of_mean.slope:.4g}"
        )
    return f"{text}. Calibration out of fold is cross-fitted: each fold by the recalibration of the others."


def _output(study: Artefacts) -> str:
    model = known(study.model)
    return (
        f"Probability of '{model.target.name}'; positive from {model.cutoff:.4g} on ({model.cutoff_source}), locked in "
        "the model that scores the held-out cohorts. Whether another model was scored on them before, the run does not "
        "show."
    )


def _weights(study: Artefacts) -> str:
    model = known(study.model)
    return f"The model folder holds {len(model.files)} weight files, each with its SHA-256, and a model card."


def _software(study: Artefacts) -> str:
    return f"{', '.join(f'{name} {version}' for name, version in known(study.model).versions.items())}."


def _grids(study: Artefacts) -> str:
    texts = []
    for name, held in known(study.fingerprint).sequences.items():
        if held.spacing_mm is not None:
            spacing = " x ".join(f"{axis.median:.3g}" for axis in held.spacing_mm)
            texts.append(f"{sequence_label(name)}: median voxel {spacing} mm")
    return f"{'; '.join(texts) or 'No image was measured'}."


def _dimensions(study: Artefacts) -> str:
    network, cases = known(study.plan).network, known(study.fingerprint).cases
    return f"PCA, fitted inside the fold, keeps {network.pca_dims} channels of a sequence; {cases} training cases."


DESIGN: Mapping[str, Evidence] = {
    "kind": Evidence(("plan",), _kind),
    "outcome": Evidence(("description",), _outcome),
    "sites": Evidence(("fingerprint",), _sites),
    "preprocessing": Evidence(("plan",), _preprocessing),
    "intensity": Evidence(("plan",), _intensity),
    "sequences": Evidence(("plan",), _sequences),
    "rois": Evidence(("model",), _rois),
    "automated_rois": Evidence(("model",), _automated_rois),
    "sample_size": Evidence(("plan",), _sample_size),
    "missing_sequences": Evidence(("fingerprint",), _missing_sequences),
    "partition": Evidence(("splits",), _partition),
    "disjoint": Evidence(("splits", "description"), _disjoint),
    "architecture": Evidence(("plan",), _architecture),
    "training": Evidence(("plan",), _training),
    "selection": Evidence(("plan",), _selection),
    "initial_weights": Evidence(("plan",), _initial_weights),
    "ensemble": Evidence(("model",), _ensemble),
    "no_updating": Evidence(("model",), says("None: held-out cohorts are scored by the locked model, as it is.")),
    "prediction": Evidence(("model",), _prediction),
    "imbalance": Evidence(("plan",), _imbalance),
    "recalibration": Evidence(("model",), _recalibration),
    "output": Evidence(("model",), _output),
    "weights": Evidence(("model",), _weights),
    "software": Evidence(("model",), _software),
    "grids": Evidence(("fingerprint",), _grids),
    "dimensions": Evidence(("plan", "fingerprint"), _dimensions),
    "crop": Evidence(
        ("plan",),
        says("Of each volume, three planes through the largest part of the tumour, with a rim, are used."),
    ),
    "absent_input": Evidence(
        ("model",),
        says(
            "A case without an image or ROI has no score, and a row with the reason in the table of scores; a missing "
            "sequence is flagged."
        ),
    ),
    "no_handcrafted": Evidence(("plan",), says("Does not apply: there are no hand-crafted or tabular features.")),
    "technical": Evidence(
        ("plan",),
        says("The plan holds every setting with its reason, or that it was set by hand; this report prints it."),
    ),
    "guidelines": Evidence((), says("TRIPOD+AI and CLAIM are filled in above, as far as the run shows.")),
}
"""By the names that the checklists use."""
