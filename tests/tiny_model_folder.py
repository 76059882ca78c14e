"""A locked model on disk, of a few kilobytes: the tiny model of `tiny_models`, saved as training would save it."""

import torch
from planning_records import blank_fingerprint
from tiny_models import tiny_model, tiny_plan

from autodls.models.fold_files import save_folded, save_fusion
from autodls.models.folded import FoldedEncoder
from autodls.records.files import sha256_of_file
from autodls.records.model_folders import ModelFolder

SEQUENCES = ("CE-T1WI", "T2WI")


def small_volume_plan():
    """For the volumes of the fixture `make_dataset`: two sequences on different grids, the ROI on the first."""
    return tiny_plan(
        SEQUENCES, input_size_px=64, slice_size_px=72, crop_mm=30.0, roi_channel="CE-T1WI", registration="geometry"
    )


def encoder_state(encoder):
    """State dict with torchvision's names, whose batch norms only add the bias that was folded."""
    state = {}
    for name, (weight, bias) in encoder.convolutions.items():
        norm = name.replace("conv", "bn").replace("downsample.0", "downsample.1")
        ones = torch.ones(len(bias))
        state |= {f"{name}.weight": weight, f"{norm}.weight": ones, f"{norm}.bias": bias}
        state |= {f"{norm}.running_mean": 0 * ones, f"{norm}.running_var": ones - 1e-5}
    state["fc.weight"], state["fc.bias"] = encoder.fc
    return {name: value.clone() for name, value in state.items()}  # safetensors refuses shared memory


def unshared(encoder):
    """The same in memory of its own: safetensors refuses tensors that share it."""
    pairs = {name: (weight.clone(), bias.clone()) for name, (weight, bias) in encoder.convolutions.items()}
    return FoldedEncoder(pairs, tuple(values.clone() for values in encoder.fc))


def write_model_folder(root, model=None):
    """Write `model` to `root` and return it."""
    model = model or tiny_model(small_volume_plan())
    folder = ModelFolder(root)
    files = {}
    for index, fold in enumerate(model.folds):
        target = folder.fold(index)
        for sequence, encoder in fold.encoders.items():
            save_folded(target, sequence, unshared(encoder))
        save_fusion(target, fold, {})
        for stage in (*fold.encoders, "fusion"):
            files[f"fold_{index}/{stage}.safetensors"] = sha256_of_file(target.sequence(stage))
    model.plan.save(folder.plan)
    blank_fingerprint(*model.plan.sequences).save(folder.fingerprint)
    hashes = {"plan_sha256": sha256_of_file(folder.plan), "fingerprint_sha256": sha256_of_file(folder.fingerprint)}
    model.record.model_copy(update={"files": files, **hashes}).sealed().save(folder.record)
    return model
