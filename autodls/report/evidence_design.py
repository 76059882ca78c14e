"""What plan, splits, model and dataset say of how a study was done."""

from collections.abc import Mapping

from autodls.report.evidence import Evidence, known, says
from autodls.report.study import Study


def _kind(study: Study) -> str:
    plan = known(study.plan)
    return (
        f"Development by cross-validation, and evaluation on held-out cohorts where there are any, of a deep-learning "
        f"model ({plan.network.encoder} for each of {len(plan.sequences)} sequences, fused by a transformer)."
    )


def _outcome(study: Study) -> str:
    settings = known(study.description).autodls
    text = f"'{settings.target.name}': column '{settings.target.column}' {settings.target.positive}."
    if settings.survival is None:
        return text
    survival = settings.survival
    mark = f", landmark {survival.landmark:g} {survival.unit}" if survival.landmark is not None else ""
    return f"{text} Follow-up: time '{survival.time}', event '{survival.event}', in {survival.unit}{mark}."


def _sites(study: Study) -> str:
    sites = known(study.fingerprint).sites
    if not sites:
        return "The dataset names no column for the site, so the number of centres is not known."
    named = ", ".join(f"{name} ({count})" for name, count in sites.items())
    return f"{len(sites)} sites in the training cohort: {named} cases."


def _preprocessing(study: Study) -> str:
    plan = known(study.plan).preprocessing
    return (
        f"Registration '{plan.registration}'; {plan.spacing_mm:g} mm isotropic; axial, coronal and sagittal plane of "
        f"largest tumour area, {plan.crop_mm:g} mm wide, {plan.slice_size_px} px stored, {plan.input_size_px} px used. "
        "'autodls check' tests every image, ROI and row before planning."
    )


def _intensity(study: Study) -> str:
    plans = known(study.plan).preprocessing.intensity
    return f"Intensity: {'; '.join(f'{name}: {plan.scheme}' for name, plan in plans.items())}."


def _sequences(study: Study) -> str:
    plan = known(study.plan)
    return f"Predictors are the images: {', '.join(plan.sequences)}, at the ROI on {plan.preprocessing.roi_channel}."


def _rois(study: Study) -> str:
    model = known(study.model)
    drawn = "drawn by hand" if model.rois == "manual" else "made by out-of-fold automatic segmentation"
    return f"The model was trained on ROIs {drawn} on {model.roi_channel}."


def _automated_rois(study: Study) -> str:
    if known(study.model).rois == "manual":
        return "Does not apply: the model was trained on manual ROIs."
    return "The model was trained on automatic ROIs."


def _sample_size(study: Study) -> str:
    return known(study.plan).expectation.statement


def _missing_sequences(study: Study) -> str:
    lacking = {name: held.share_missing for name, held in known(study.fingerprint).sequences.items()}
    shares = ", ".join(f"{name} {100 * share:.1f}%" for name, share in lacking.items())
    return f"Training cases without a sequence: {shares}. A missing sequence is replaced by a learned token."


def _partition(study: Study) -> str:
    splits = known(study.splits)
    sizes = ", ".join(f"{len(fold.train)}/{len(fold.inner)}/{len(fold.validation)}" for fold in splits.folds)
    return (
        f"{len(splits.folds)} folds over the training cohort alone, stratified by label, seed {splits.seed}; cases "
        f"that train / stop training / are scored: {sizes}. Held-out cohorts are not opened before the model is locked."
    )


def _disjoint(study: Study) -> str:
    column = known(study.description).autodls.patient
    if column is None:
        return "Case: dataset.json names no patient column, so every case counts as a patient of its own."
    return f"Patient, by column '{column}'; splits that part the cases of a patient are refused."


def _architecture(study: Study) -> str:
    network = known(study.plan).network
    return (
        f"{network.encoder} per sequence; its last feature map reduced to {network.pca_dims} channels by PCA; a "
        f"transformer of {network.fusion.layers} layers and {network.fusion.heads} heads over the maps of all "
        "sequences; softmax. The reasons of all settings stand in the plan."
    )


def _training(study: Study) -> str:
    plan = known(study.plan).training
    return (
        f"{plan.optimizer.upper()}, learning rate {plan.learning_rate:g}, batch {plan.batch_size}, at most "
        f"{plan.epochs} epochs, patience {plan.patience}, {plan.loss} loss (gamma {plan.focal_gamma:g}), augmentation "
        f"'{plan.augmentation}', {plan.precision}, seed {plan.seed}."
    )


def _selection(study: Study) -> str:
    plan = known(study.plan).training
    return (
        f"In each fold the epoch with the smallest loss on an inner hold-out ({100 * plan.inner_holdout:g}% of the "
        "fold's training part), which is neither trained on nor scored, is kept."
    )


def _initial_weights(study: Study) -> str:
    return f"Encoder weights: {known(study.plan).network.encoder_weights}; the other layers start at random."


def _ensemble(study: Study) -> str:
    return f"New cases are scored by the mean log-odds of {known(study.model).folds} fold models, then recalibrated."


def _prediction(study: Study) -> str:
    model = known(study.model)
    scale = model.ensemble_recalibration or model.recalibration
    return (
        "'autodls predict -m MODEL -i IMAGES'; score = 1 / (1 + exp(-(a + b x))), x the mean log-odds of the folds, "
        f"a = {scale.intercept:.6g}, b = {scale.slope:.6g}."
    )


def _imbalance(study: Study) -> str:
    plan = known(study.plan).training
    return f"Focal loss with weight {plan.focal_alpha:g} of the positive class; no resampling."


def _recalibration(study: Study) -> str:
    model = known(study.model)
    scale, of_mean = model.recalibration, model.ensemble_recalibration
    text = f"Logistic recalibration on out-of-fold scores: intercept {scale.intercept:.4g}, slope {scale.slope:.4g}"
    if of_mean is not None:
        text += (
            f"; for the mean of the folds, whose scores correlate by {known(model.fold_correlation):.2f} within a "
            f"class, intercept {of_mean.intercept:.4g}, slope {of_mean.slope:.4g}"
        )
    return f"{text}. Calibration out of fold is cross-fitted: each fold by the recalibration of the others."


def _output(study: Study) -> str:
    model = known(study.model)
    return (
        f"Probability of '{model.target.name}'; positive from {model.cutoff:.4g} on ({model.cutoff_source}), locked "
        "before any held-out cohort was scored."
    )


def _weights(study: Study) -> str:
    model = known(study.model)
    return f"The model folder holds {len(model.files)} weight files, each with its SHA-256, and a model card."


def _software(study: Study) -> str:
    return f"{', '.join(f'{name} {version}' for name, version in known(study.model).versions.items())}."


def _grids(study: Study) -> str:
    texts = []
    for name, held in known(study.fingerprint).sequences.items():
        if held.spacing_mm is not None:
            spacing = " x ".join(f"{axis.median:.3g}" for axis in held.spacing_mm)
            texts.append(f"{name}: median voxel {spacing} mm")
    return f"{'; '.join(texts) or 'No image was measured'}."


def _dimensions(study: Study) -> str:
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
    "crop": Evidence(("plan",), says("Of each volume, the three planes of largest tumour area and a rim are used.")),
    "absent_input": Evidence(
        ("model",),
        says("A case without an image or ROI is not scored and named; a missing sequence is replaced and flagged."),
    ),
    "no_handcrafted": Evidence(("plan",), says("Does not apply: there are no hand-crafted or tabular features.")),
    "technical": Evidence(("plan",), says("The plan holds every setting with its reason; this report prints it.")),
    "guidelines": Evidence((), says("TRIPOD+AI and CLAIM are filled in above, from the run.")),
}
"""By the names that the checklists use."""
