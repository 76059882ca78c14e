"""Rules for the optional nnU-Net stage: its network and schedule, and how its output becomes an ROI."""

from autodls.planning.decision import Decision, Situation
from autodls.planning.segmentation_time import expected_hours, expected_time, in_words

# From nnU-Net's documentation/resenc_presets.md (Isensee et al. 2024, arXiv:2404.09556), as are the Dice scores (%).
NEEDED_GB = {"resenc_l": 24.0, "resenc_m": 9.0, "default": 8.0}
CHOICES = tuple(NEEDED_GB)
CASES_FOR_L = 300
L_GAIN = (
    "in nnU-Net's resenc_presets.md it adds 0.6 and 1.4 of Dice to resenc_m with 360 and 489 cases, but 0.0, 0.9 and "
    "-0.3 with 30, 131 and 200, and takes three times as long"
)
XL_GAIN = "resenc_xl takes twice as long for 0.3 to 0.5 of Dice more, by nnU-Net's resenc_presets.md. "
MOST_HOURS = 7 * 24.0
BYTES_PER_GIB, BYTES_PER_GB = 2**30, 10**9
GPU_SCHEDULE = (1000, 250)  # epochs and iterations of nnUNetTrainer
FEW_CASES, FEW_CASES_EPOCHS = 100, 250
LEAST_BATCH = 2  # of nnU-Net's
CPU_SCHEDULE = (20, 10)
LEAST_SHARE_OF_VOLUME = 0.25
_COMPROMISE = "a compromise: masks will be worse than those of nnU-Net's own schedule on a GPU"


def planner(situation: Situation) -> Decision:
    """On a GPU the largest network that its memory holds and the cohort repays within a week; a small one on a CPU."""
    if not situation.on_gpu:
        return Decision(
            "small", f"8 base features instead of nnU-Net's 32, as its networks take days on a CPU; {_COMPROMISE}."
        )
    configuration, folds = situation["segmentation.configuration"], situation["training.folds"]
    batches = folds * situation["segmentation.epochs"] * situation["segmentation.iterations_per_epoch"]
    objections = []
    for name in CHOICES:
        objection = _objection(situation, name, expected_hours(name, configuration, "cuda", batches) or 0.0)
        if objection is None:
            break
        objections.append(f"{objection}. ")
    gain = XL_GAIN if name == "resenc_l" else ""
    time = expected_time(name, configuration, "cuda", batches)
    return Decision(name, f"{''.join(objections)}{gain}All {folds} folds of {name}: {time}.")


def _objection(situation: Situation, name: str, hours: float) -> str | None:
    """Why not this one; None for the last, against which there is nothing to be said."""
    memory_gb, needed_gb = situation.resources.memory_gib * BYTES_PER_GIB / BYTES_PER_GB, NEEDED_GB[name]
    if name == CHOICES[-1]:
        return None
    if name == "resenc_l" and situation.fingerprint.cases < CASES_FOR_L:
        return f"{situation.fingerprint.cases} cases hardly repay resenc_l: {L_GAIN}"
    if memory_gb < needed_gb:
        return f"{memory_gb:.3g} GB are less than the {needed_gb:g} GB that nnU-Net documents for {name}"
    if hours > MOST_HOURS:
        return (
            f"{name} would take {in_words(hours)}, more than the week that a plan takes without being asked: "
            f"segmentation.planner in a preset asks"
        )
    return None


def configuration(situation: Situation) -> Decision:
    """Volumes on a GPU, slices on a CPU."""
    if situation.on_gpu:
        return Decision("3d_fullres", "The network of nnU-Net that sees all three axes at full resolution.")
    return Decision(
        "2d", "A CPU learns from a batch of slices in half the time of two volumes, and on phantoms it needed fewer."
    )


def epochs(situation: Situation) -> Decision:
    """nnU-Net's own number on a GPU, or its shorter one for a small cohort; few on a CPU."""
    cases = situation.fingerprint.cases
    if situation.on_gpu and cases < FEW_CASES:
        return Decision(
            FEW_CASES_EPOCHS,
            f"Fewer than {FEW_CASES} cases: nnU-Net's schedule of {FEW_CASES_EPOCHS} epochs (nnUNetTrainer_250epochs) "
            f"instead of its {GPU_SCHEDULE[0]}: they show each of {cases} cases "
            f"{FEW_CASES_EPOCHS * GPU_SCHEDULE[1] * LEAST_BATCH // cases:,} times and more; what a longer one "
            f"would add was not measured.",
        )
    if situation.on_gpu:
        return Decision(GPU_SCHEDULE[0], f"The {GPU_SCHEDULE[0]} epochs of nnU-Net's own schedule.")
    return Decision(
        CPU_SCHEDULE[0], f"{CPU_SCHEDULE[0]} instead of nnU-Net's {GPU_SCHEDULE[0]} on a CPU, {_COMPROMISE}."
    )


def iterations_per_epoch(situation: Situation) -> Decision:
    """nnU-Net's own number on a GPU, few on a CPU."""
    if situation.on_gpu:
        return Decision(GPU_SCHEDULE[1], f"The {GPU_SCHEDULE[1]} batches an epoch of nnU-Net's own schedule.")
    return Decision(
        CPU_SCHEDULE[1], f"{CPU_SCHEDULE[1]} instead of nnU-Net's {GPU_SCHEDULE[1]} on a CPU, {_COMPROMISE}."
    )


def components(situation: Situation) -> Decision:
    """The largest component where a person usually drew one, else all; all where each lesion is scored."""
    if situation.fingerprint.lesions is not None:
        return Decision("all", "Each lesion is scored, so none is left out.")
    drawn = situation.fingerprint.tumour.components.median
    if drawn < 2:
        return Decision(
            "largest",
            f"A manual ROI has {drawn:g} connected part in the median, so anything beside the largest is likely wrong "
            "and would move the crop.",
        )
    return Decision("all", f"A manual ROI has {drawn:g} connected parts in the median, so all are kept.")


def least_volume_mm3(situation: Situation) -> Decision:
    """A share of the smallest tumour of the training cohort."""
    smallest_mm3 = 1000.0 * situation.fingerprint.tumour.volume_ml.minimum
    return Decision(
        round(LEAST_SHARE_OF_VOLUME * smallest_mm3, 1),
        f"{LEAST_SHARE_OF_VOLUME:.0%} of the smallest training tumour of {smallest_mm3:.4g} mm3: less is hardly a "
        "tumour of this kind, or hardly all of it.",
    )
