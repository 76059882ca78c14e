"""What a phantom cohort is made from, and the truth that is written beside it."""

from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from autodls.records.base import Record

SEQUENCES = ("T1WI", "T2WI", "CE-T1WI")
ROI_CHANNEL = "CE-T1WI"
CT = "CT"
CT_SHOWS = "CE-T1WI"  # enhancement is all that a CT image shows of the hidden expression
CPS_CUTOFF = 20
TRAINING_COHORT = "train"
EXTERNAL_COHORT = "external"
TRAINING_SITES = {"A": 0.6, "B": 0.4}
EXTERNAL_SITE = "C"

SecondTumour = Literal["same", "plain"]
_SECOND = ("second_share", "second_shows")

Probability = Annotated[float, Field(gt=0, lt=1)]


class PhantomSettings(Record):
    """Size and difficulty of a phantom cohort.

    >>> PhantomSettings(cases=12).case_ids[-1]
    'PH0012'
    """

    cases: int = Field(default=60, ge=0, le=9999, description="training cases, of two sites")
    external_cases: int = Field(default=0, ge=0, le=9999, description="cases of a third site, never trained on")
    seed: int = 0
    difficulty: float = Field(default=0.1, ge=0, le=1, description="0: signs are plain; 1: signs drown in nuisance")
    ceiling_auc: float = Field(default=0.95, ge=0.55, le=0.995, description="AUC of the hidden expression itself")
    prevalence: Probability = Field(default=0.4, description="share of patients with CPS >= 20")
    hazard_ratio: float = Field(default=0.5, gt=0, description="hazard of progression, high over low")
    matrix_factor: float = Field(default=1.0, ge=0.25, le=6, description="1: about 96 x 96 voxels in plane")
    missing_share: float = Field(default=0.0, ge=0, le=1, description="share of cases that lack one sequence")
    missing_cells: float = Field(default=0.04, ge=0, lt=1, description="share of empty cells of age and stages")

    modality: Literal["MR", "CT"] = Field(default="MR", description="CT: one enhanced scan in HU, in the place of MR")
    second_share: float = Field(default=0.0, ge=0, le=1, description="share of patients with a second tumour")
    second_shows: SecondTumour = Field(
        default="same",
        description="same: both tumours show the patient's expression, each with a nuisance of its own; plain: one of "
        "the two, either as often, looks like that of a patient with hardly any expression",
    )

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Cohorts of one tumour a patient are written as by versions that had no second."""
        content: dict[str, Any] = write(self)
        return {name: value for name, value in content.items() if self.second_share or name not in _SECOND}

    @property
    def channels(self) -> tuple[str, ...]:
        """The images of a case, in the order of their files."""
        return (CT,) if self.modality == "CT" else SEQUENCES

    @property
    def roi_channel(self) -> str:
        """The image that ROIs are drawn on."""
        return CT if self.modality == "CT" else ROI_CHANNEL

    @property
    def shown(self) -> dict[str, str]:
        """The sign that each channel shows."""
        return {channel: CT_SHOWS if channel == CT else channel for channel in self.channels}

    @property
    def case_ids(self) -> tuple[str, ...]:
        """Training cases, then external ones."""
        training = tuple(f"PH{number:04d}" for number in range(1, self.cases + 1))
        return training + tuple(f"EX{number:04d}" for number in range(1, self.external_cases + 1))


class CaseTruth(Record):
    """What no table shows: the hidden expression of one case, and what each sequence tells of it."""

    expression: float
    signs: dict[str, float] = Field(description="expression plus the nuisance of that sequence; of the first tumour")
    diameter_mm: float = Field(description="of the sphere that the tumour is shaped from")
    second_signs: dict[str, float] | None = Field(
        default=None, description="those of a second tumour, where there is one"
    )
    second_diameter_mm: float | None = None

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without a second tumour where there is none, as by versions that had none."""
        content: dict[str, Any] = write(self)
        return {name: value for name, value in content.items() if value is not None}


class PhantomTruth(Record):
    """The generative model and the figures that follow from it."""

    format: Literal["autodls-phantom/1"] = "autodls-phantom/1"
    settings: PhantomSettings
    ceiling_auc: float = Field(description="AUC of the hidden expression for the label; no score can do better")
    images_ceiling_auc: float = Field(
        description="AUC of the best use of the signs of all sequences together, of one tumour"
    )
    sequence_ceiling_auc: dict[str, float] = Field(description="AUC of the sign of one sequence alone")
    correlation: float = Field(description="of the hidden expression with the standardised log CPS")
    sign_noise: dict[str, float] = Field(description="SD of the nuisance that a sequence adds to the expression (SD 1)")
    log_cps_mean: float
    log_cps_sd: float
    cps_cutoff: int = CPS_CUTOFF
    prevalence: float
    hazard_ratio: float
    median_pfs_low_months: float
    cases: dict[str, CaseTruth]
