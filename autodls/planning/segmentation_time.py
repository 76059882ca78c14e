"""How long nnU-Net takes, said before it starts: by figures that were published, or measured on other cohorts.

On a GPU: nnU-Net's documentation/resenc_presets.md (Isensee et al. 2024, arXiv:2404.09556), hours of one training on an
A100 with 40 GB, taken to be of the 3d_fullres configuration and of one fold. On a CPU: `autodls segment fold all` as a
whole with the small planner, 600 batches of slices on two busy cores: 477 s for 34 gliomas, 444 s for 72 phantoms
(benchmarks/RESULTS.md).
"""

from autodls.records.plan import Plan
from autodls.records.words import plural

PUBLISHED_HOURS = {"default": 9.0, "resenc_m": 12.0, "resenc_l": 35.0, "resenc_xl": 66.0}
PUBLISHED_EPOCHS, PUBLISHED_ITERATIONS = 1000, 250
CPU_SECONDS_PER_BATCH = 0.8


def expected_hours(planner: str, configuration: str, device: str, batches: int) -> float | None:
    """Hours of training on `batches` batches, those of all folds; None where nothing is known.

    >>> expected_hours("resenc_xl", "3d_fullres", "cuda", 5 * 1000 * 250)
    330.0
    """
    if (device, planner, configuration) == ("cpu", "small", "2d"):
        return batches * CPU_SECONDS_PER_BATCH / 3600
    if device == "cuda" and configuration == "3d_fullres" and planner in PUBLISHED_HOURS:
        return PUBLISHED_HOURS[planner] * batches / (PUBLISHED_EPOCHS * PUBLISHED_ITERATIONS)
    return None


def expected_time(planner: str, configuration: str, device: str, batches: int) -> str:
    """`expected_hours` in words, with how they are known.

    >>> expected_time("small", "2d", "cpu", 3 * 20 * 10)
    'about 8 minutes, roughly: as it took on two busy CPU cores for other cohorts'
    >>> expected_time("resenc_m", "3d_fullres", "cuda", 5 * 250 * 250)
    "about 15 hours on an A100, by nnU-Net's published figures; not measured on this GPU"
    """
    hours = expected_hours(planner, configuration, device, batches)
    if hours is None:
        return f"how long planner {planner} takes in {configuration} on this device is not known before it has begun"
    if device == "cpu":
        return f"about {in_words(hours)}, roughly: as it took on two busy CPU cores for other cohorts"
    return f"about {in_words(hours)} on an A100, by nnU-Net's published figures; not measured on this GPU"


def segmentation_time(plan: Plan, folds: int) -> str:
    """`expected_time` of `folds` folds of a plan."""
    stage = plan.segmentation
    batches = folds * stage.epochs * stage.iterations_per_epoch
    return expected_time(stage.planner, stage.configuration, plan.budget.device, batches)


def in_words(hours: float) -> str:
    """A time with its unit.

    >>> in_words(0.001), in_words(1.2), in_words(15), in_words(330)
    ('1 minute', '72 minutes', '15 hours', '14 days')
    """
    if hours < 2:
        return plural(max(1, round(60 * hours)), "minute")
    return f"{hours:.0f} hours" if hours < 72 else f"{hours / 24:.0f} days"
