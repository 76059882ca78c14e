"""Rules for what the network gets to see: registration, planes, size."""

import math

from autodls.errors import PlanError
from autodls.imaging.inside import SMALLEST_OVERLAP
from autodls.planning.decision import Decision, Situation
from autodls.planning.memory import TrainingLoad, cohort_gib, predicted_memory_gib
from autodls.planning.rules_training import MEMORY_SHARE, wanted_batch

RIM_MM = 10.0
SMALLEST_CROP_MM = 32.0
STORED_SIDE, INPUT_SIDE = 256, 224  # a random crop of 224 out of 256, as is usual since AlexNet
GPU_INPUTS_PX = (224, 192, 160, 128, 96, 64)
CPU_INPUTS_PX = (128, 96, 64)


def registration(situation: Situation) -> Decision:
    """None where all grids are equal, else through the geometry; by case where an image misses the tumour.

    Registration of every case is a person's choice: a header that is wrong in one says nothing about the others.
    """
    sequences = {name: seen for name, seen in situation.fingerprint.sequences.items() if seen.cases}
    farthest = min(sequences, key=lambda name: sequences[name].overlap_with_roi)
    overlap = sequences[farthest].overlap_with_roi
    if overlap < SMALLEST_OVERLAP:
        return Decision(
            "auto",
            f"In one case at least, {farthest} covers only {overlap:.0%} of the box around the tumour: where that is "
            f"under {SMALLEST_OVERLAP:.0%}, headers name no common frame, and the sequence of that case is registered "
            f"by mutual information, or taken as missing if that cannot be verified; all others are sampled through "
            f"spacing, direction and origin.",
        )
    differing = {name: 1 - seen.same_grid_as_roi for name, seen in sequences.items() if seen.same_grid_as_roi < 1}
    if not differing:
        return Decision("none", "Every image lies on the grid of its ROI: nothing to align.")
    shares = ", ".join(f"{name} in {share:.0%} of cases" for name, share in differing.items())
    return Decision(
        "geometry",
        f"Grids differ from that of the ROI ({shares}), but every image covers at least {overlap:.0%} of the tumour's "
        f"box: samples are taken through spacing, direction and origin.",
    )


def input_size_px(situation: Situation) -> Decision:
    """The largest of a few sizes at which the wanted batch fits the memory."""
    sizes = GPU_INPUTS_PX if situation.on_gpu else CPU_INPUTS_PX
    batch = situation["training.batch_size"] if "training.batch_size" in situation else wanted_batch(situation)
    limit_gib = MEMORY_SHARE * situation.resources.memory_gib
    fitting = [size for size in sizes if training_gib(situation, size, batch) <= limit_gib]
    usual = (
        "224 px is what the paper and the ImageNet weights use"
        if situation.on_gpu
        else "on a CPU, 128 px trains about 2.6 times faster than 224 px (measured)"
    )
    if fitting and fitting[0] == sizes[0]:
        return Decision(sizes[0], f"{usual[0].upper()}{usual[1:]}; a batch of {batch} fits {limit_gib:.3g} GiB.")
    if fitting:
        needed = training_gib(situation, sizes[0], batch)
        return Decision(
            fitting[0],
            f"Although {usual}, a batch of {batch} would need {needed:.3g} GiB there; {fitting[0]} px is the largest "
            f"that stays within {limit_gib:.3g} GiB ({MEMORY_SHARE:.0%} of the budget).",
        )
    return Decision(
        sizes[-1],
        f"The smallest of {list(sizes)} px, as a batch of {batch} exceeds {limit_gib:.3g} GiB "
        f"({MEMORY_SHARE:.0%} of the budget) at each of them.",
    )


def training_gib(situation: Situation, size_px: int, batch_size: int) -> float:
    """Predicted memory in GiB of training with inputs of `size_px`, fine-tuning included where there is any."""
    fingerprint = situation.fingerprint
    cases, sequences = situation.inner_training_samples, len(fingerprint.sequences)
    samples = cohort_gib(
        fingerprint.samples, sequences, stored_side_px(size_px), roi_guided=situation["network.roi_guided"]
    )
    return predicted_memory_gib(
        TrainingLoad(
            encoder=situation["network.encoder"],
            input_px=size_px,
            batch_size=batch_size,
            precision=situation["training.precision"],
            device=situation.resources.device,
            cohort_gib=samples,
            cases=cases,
            sequences=sequences,
            fine_tuned=situation["training.fine_tuning_epochs"] > 0,
            roi_guided=situation["network.roi_guided"],
            optimizer=situation["training.optimizer"],
            frozen=situation["network.encoder_frozen"],
        )
    )


def stored_side_px(size_px: int) -> int:
    """Side of a stored plane out of which inputs of `size_px` are cropped.

    >>> stored_side_px(224), stored_side_px(128)
    (256, 146)
    """
    return round(size_px * STORED_SIDE / INPUT_SIDE)


def slice_size_px(situation: Situation) -> Decision:
    """The input and a margin for random crops."""
    size = situation["preprocessing.input_size_px"]
    stored = stored_side_px(size)
    reason = f"{STORED_SIDE}/{INPUT_SIDE} of the input size of {size} px, so that random crops have {stored - size} px."
    return Decision(stored, reason)


def crop_mm(situation: Situation) -> Decision:
    """The 95th percentile of the extent of a tumour's largest part and a rim, enlarged by what the central crop takes
    away.
    """
    largest = max(situation.fingerprint.tumour.extent_mm.items(), key=lambda item: item[1].p95)
    plane, extent = largest[0], largest[1].p95
    stored, size = situation["preprocessing.slice_size_px"], situation["preprocessing.input_size_px"]
    seen = extent + 2 * RIM_MM
    crop = max(SMALLEST_CROP_MM, float(math.ceil(seen * stored / size)))
    reason = (
        f"95% of tumours extend over at most {extent:.0f} mm ({plane}); with a rim of {RIM_MM:g} mm on each side the "
        f"network should see {seen:.0f} mm, which is the central {size} of {stored} px"
    )
    at_least = f", and at least {SMALLEST_CROP_MM:g} mm" if crop == SMALLEST_CROP_MM else ""
    return Decision(crop, f"{reason}{at_least}.{_multifocal(situation)}")


def _multifocal(situation: Situation) -> str:
    """What the crop leaves out by design; nothing for a fingerprint of an older version, whose extents are of all."""
    cases, tumour = situation.fingerprint.cases, situation.fingerprint.tumour
    if tumour.multifocal is None or tumour.share_beside_largest is None:
        return ""
    if not tumour.multifocal:
        return f" None of {cases} tumours is multifocal."
    if situation.fingerprint.lesions is not None:
        return " Each lesion has a crop of its own."
    most = tumour.share_beside_largest.maximum
    return (
        f" {tumour.multifocal} of {cases} tumours are multifocal (several connected parts): the extent is that of the "
        f"largest part, on which the crop is centred; up to {most:.1%} of a tumour's volume lies beside it. What a "
        "picture leaves out is flagged, case by case."
    )


def spacing_mm(situation: Situation) -> Decision:
    """No finer than the ROI sequence is in plane, and coarse enough that the crop fits a stored plane."""
    fingerprint = situation.fingerprint
    spacing = fingerprint.sequences[fingerprint.roi_channel].spacing_mm
    if spacing is None:
        raise PlanError(
            f"dataset {fingerprint.dataset}: no training case has an image of the ROI channel "
            f"'{fingerprint.roi_channel}', whose spacing the plan needs; add them, or name another roi_channel"
        )
    in_plane = sorted(axis.median for axis in spacing)[1]
    crop, stored = situation["preprocessing.crop_mm"], situation["preprocessing.slice_size_px"]
    finest = max(in_plane, crop / stored)
    because = "the image itself is no finer" if in_plane >= crop / stored else "the crop would not fit otherwise"
    return Decision(
        math.ceil(round(finest * 100, 6)) / 100,
        f"Isotropic, so that reformatted planes are square: {fingerprint.roi_channel} has a median of {in_plane:.3g} "
        f"mm in plane, and {crop:g} mm on {stored} px make {crop / stored:.3g} mm; {because}.",
    )
