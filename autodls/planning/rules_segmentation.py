"""Rules for the optional nnU-Net stage: its network and schedule, and how its output becomes an ROI."""

from autodls.planning.decision import Decision, Situation

RESENC_GB = (("resenc_xl", 40.0), ("resenc_l", 24.0), ("resenc_m", 9.0))  # nnU-Net's resenc_presets.md
BYTES_PER_GIB, BYTES_PER_GB = 2**30, 10**9
GPU_SCHEDULE = (1000, 250)  # epochs and iterations of nnUNetTrainer
CPU_SCHEDULE = (20, 10)
LEAST_SHARE_OF_VOLUME = 0.25
_COMPROMISE = "a compromise: masks will be worse than those of nnU-Net's own schedule on a GPU"


def planner(situation: Situation) -> Decision:
    """The largest of nnU-Net's residual encoders that the GPU holds; eight base features on a CPU."""
    if not situation.on_gpu:
        return Decision(
            "small", f"8 base features instead of nnU-Net's 32, as its networks take days on a CPU; {_COMPROMISE}."
        )
    memory_gb = situation.resources.memory_gib * BYTES_PER_GIB / BYTES_PER_GB
    for name, needed_gb in RESENC_GB:
        if memory_gb >= needed_gb:
            return Decision(
                name, f"The largest residual encoder for {memory_gb:.3g} GB: nnU-Net documents {needed_gb:g} GB for it."
            )
    return Decision(
        "default", f"{memory_gb:.3g} GB are less than the {RESENC_GB[-1][1]:g} GB of the smallest residual encoder."
    )


def configuration(situation: Situation) -> Decision:
    """Volumes on a GPU, slices on a CPU."""
    if situation.on_gpu:
        return Decision("3d_fullres", "The network of nnU-Net that sees all three axes at full resolution.")
    return Decision(
        "2d", "A CPU learns from a batch of slices in half the time of two volumes, and on phantoms it needed fewer."
    )


def epochs(situation: Situation) -> Decision:
    """nnU-Net's own number on a GPU, few on a CPU."""
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
    """The largest component where a person usually drew one, else all."""
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
