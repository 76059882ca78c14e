"""The plan: every choice of the pipeline, with the sentence that says why."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, SerializerFunctionWrapHandler, model_serializer, model_validator

from autodls.limits import MOST_LAYERS, MOST_TOKENS
from autodls.records.base import Record
from autodls.records.encoders import ENCODER_SPECS, Encoder, encoder_stride_px
from autodls.records.number_types import Count, Positive, Share
from autodls.records.preprocessing_plan import PreprocessingPlan
from autodls.records.reasons import set_by_hand, told_reasons, values_at
from autodls.records.segmentation_plan import SegmentationPlan


class FusionPlan(Record):
    """The transformer over the feature maps of all sequences."""

    patch_px: Count = Field(description="side of a token, in pixels of the feature map")
    heads: Count = Field(description="attention heads of a layer")
    layers: Annotated[int, Field(ge=1, le=MOST_LAYERS)] = Field(description="layers of the transformer")
    dropout: Share = Field(description="in its layers and before its last linear layer")
    fallback: Literal["none", "mean"] = Field(
        default="none",
        description="mean: where the transformer is not shown on the inner hold-out to be better than the mean of the "
        "sequences' log-odds, that mean is the fold's score",
    )


class NetworkPlan(Record):
    """Encoder per sequence, PCA, fusion."""

    encoder: Encoder = Field(description="the network that sees each sequence")
    encoder_frozen: bool = Field(
        default=False,
        description="true: encoders keep the weights that they start from, and the last linear layer of each, PCA and "
        "fusion are fitted to features that are computed once; needs encoder_weights other than random",
    )
    roi_guided: bool = Field(
        default=False,
        description="each plane goes through the encoder on its own, with the ROI in it as a second channel, and "
        "features are averaged inside the ROI as well as over the crop; only with random weights. false: the three "
        "planes are the channels of one picture, as in the paper",
    )
    encoder_weights: str = Field(description="imagenet, random, or a file (.pth, .safetensors)")
    pca_dims: Annotated[int, Field(ge=1, le=2048)] = Field(description="channels kept per sequence")
    fusion: FusionPlan = Field(description="the transformer over the feature maps of all sequences")

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what older versions did not have where it was not given, so that the hash of theirs still fits."""
        content: dict[str, Any] = write(self)
        if "encoder_frozen" not in self.model_fields_set:
            content.pop("encoder_frozen", None)
        return content


class TrainingPlan(Record):
    """Optimisation and protocol."""

    folds: Annotated[int, Field(ge=2)] = Field(
        description="of the cross-validation, and networks of each kind in the locked model"
    )
    batch_size: Annotated[int, Field(ge=2)] = Field(description="cases a step")
    epochs: Count = Field(description="of an encoder, at most")
    kept_epoch: Literal["best", "last"] = Field(
        default="best",
        description="best: the epoch of an encoder with the lowest inner hold-out loss, and early stopping; last: "
        "the end of the schedule, so that the hold-out has no part in the encoder",
    )
    patience: Count = Field(description="epochs without a better inner hold-out loss before training stops")
    optimizer: Literal["sgd", "adamw"] = Field(
        description="sgd: with Nesterov's momentum; adamw: momentum is its first beta"
    )
    learning_rate: Positive = Field(description="of an encoder, at its highest")
    loss: Literal["focal"] = Field(description="of encoders and fusion")
    focal_gamma: Annotated[float, Field(ge=0)] = Field(
        description="how far cases that are right already are played down; 0: cross-entropy"
    )
    focal_alpha: Annotated[float, Field(gt=0, lt=1)] = Field(description="weight of the positive class")
    precision: Literal["bf16", "fp32"] = Field(description="in which networks are computed, where the device has it")
    seed: int = Field(description="of everything that is drawn")
    momentum: Share = Field(default=0.9, description="of the optimizer")
    weight_decay: Annotated[float, Field(ge=0)] = Field(default=1e-4, description="of the optimizer")
    warmup_epochs: Annotated[int, Field(ge=0)] = Field(description="epochs over which the learning rate rises")
    batch_norm_momentum: Annotated[float, Field(gt=0, le=1)] = Field(
        description="weight of the newest batch in the running statistics"
    )
    encoder_dropout: Share = Field(description="before the last linear layer of an encoder")
    inner_holdout: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        description="share of a fold's training part kept for early stopping and for the scale of its scores"
    )
    augmentation: Literal["paper", "nnunet"] = Field(description="paper: as the paper has it; nnunet: nnU-Net's policy")
    fusion_epochs: Count = Field(description="all are run, as they take seconds; the best one is kept")
    fusion_learning_rate: Positive = Field(description="of the fusion, at its highest")
    fine_tuning_epochs: Annotated[int, Field(ge=0)] = Field(
        default=0,
        description="0: two stages, as in the paper; else encoders and fusion are then fitted on together, end to end, "
        "and the best of so many epochs is kept where it beats the two stages on the inner hold-out",
    )
    fine_tuning_learning_rate: Positive = Field(
        default=0.001, description="of encoders and fusion together, at its highest"
    )
    sequence_dropout: Share = Field(description="chance that the fusion is trained without one of the sequences")
    cutoff: Literal["youden", "class_medians"] = Field(
        description="how the cut-off is chosen from out-of-fold scores: youden, the observed score with the largest "
        "index; class_medians, half way between the classes' median log-odds"
    )


class Budget(Record):
    """What the plan was made to fit."""

    memory_gib: Positive = Field(description="GiB that training may use")
    predicted_memory_gib: Positive = Field(description="GiB that it is expected to use")
    device: Literal["cpu", "cuda"] = Field(description="what it is to be trained on")
    predicted_training_minutes: Positive = Field(description="of all folds together")
    measured_on: str | None = Field(
        default=None, description="the GPU on which steps of this plan were timed and weighed; null: by arithmetic"
    )


class Expectation(Record):
    """What a cohort of this size can show, said before training."""

    positives: int = Field(description="positive training cases")
    negatives: int = Field(description="negative training cases")
    rarer_class_per_fold: float = Field(description="patients")
    assumed_auc: float = Field(description="the AUC that is supposed")
    auc_ci_half_width: float = Field(description="half of the 95 % interval that such an AUC would have out of fold")
    design_effect: float | None = Field(
        default=None,
        description="variance of the AUC over that of as many independent cases; left out where each is a patient",
    )
    statement: str = Field(description="the same in words")

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what older versions did not have where it says nothing, so that the hash of theirs still fits."""
        content: dict[str, Any] = write(self)
        return {name: value for name, value in content.items() if name != "design_effect" or value is not None}


_WEIGHTS = "network.encoder_weights"
_FORETOLD = frozenset(
    {"expectation", "budget.predicted_memory_gib", "budget.predicted_training_minutes", "budget.measured_on"}
)


class Plan(Record):
    """All settings of one training run."""

    format: Literal["autodls-plan/1"] = Field(default="autodls-plan/1", description="of this file")
    dataset: str = Field(description="its name")
    preset: str = Field(description="the preset that it was derived by")
    fingerprint_sha256: str = Field(description="SHA-256 of the fingerprint.json that it was derived from")
    preprocessing: PreprocessingPlan = Field(description="from volumes to samples")
    network: NetworkPlan = Field(description="encoders, PCA, fusion")
    training: TrainingPlan = Field(description="optimisation and protocol")
    segmentation: SegmentationPlan = Field(description="the optional nnU-Net stage")
    budget: Budget = Field(description="what it was made to fit")
    expectation: Expectation = Field(description="what a cohort of this size can show")
    reasons: dict[str, str] = Field(description="by dotted name of the field")
    derived: dict[str, JsonValue] = Field(
        default={},
        description="the value that each reason was written for, by dotted name: one that differs now was set by hand. "
        "Left out of plans of older versions, which do not know",
    )

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A plan that does not know is written as older versions did, so that the hashes of theirs still fit."""
        content: dict[str, Any] = write(self)
        return {name: value for name, value in content.items() if name != "derived" or self.derived}

    @model_validator(mode="after")
    def _consistent(self) -> "Plan":
        if self.network.pca_dims * len(self.sequences) % self.network.fusion.heads:
            raise ValueError(
                f"pca_dims {self.network.pca_dims} x {len(self.sequences)} sequences is no multiple of "
                f"fusion.heads {self.network.fusion.heads}"
            )
        tokens = max(1, self.map_px // self.network.fusion.patch_px) ** 2
        if tokens > MOST_TOKENS:
            raise ValueError(
                f"input_size_px {self.preprocessing.input_size_px} with {self.network.encoder} makes {tokens} tokens "
                f"of fusion.patch_px {self.network.fusion.patch_px}, expected at most {MOST_TOKENS}"
            )
        encoder = self.network.encoder
        if self.network.encoder_weights == "imagenet" and ENCODER_SPECS[encoder].imagenet is None:
            raise ValueError(f"{encoder} has no ImageNet weights; give encoder_weights random, or a larger encoder")
        if self.network.encoder_frozen and self.network.encoder_weights == "random":
            raise ValueError("encoder_frozen with encoder_weights random: nothing would be learnt; set one otherwise")
        if self.network.roi_guided and self.network.encoder_weights != "random":
            raise ValueError(
                f"roi_guided with encoder_weights {self.network.encoder_weights}: weights that were trained elsewhere "
                "have no input for an ROI; set one to false, or the other to random"
            )
        return self

    def without_paths(self) -> "Plan":
        """The plan as it travels with a model: a file of weights is named without its folder."""
        network = self.network.model_copy(update={"encoder_weights": _last_name(self.network.encoder_weights)})
        known = self.derived.get(_WEIGHTS)
        derived = {**self.derived, _WEIGHTS: _last_name(known)} if isinstance(known, str) else self.derived
        return self.model_copy(update={"network": network, "derived": derived})

    def with_derived(self) -> "Plan":
        """This plan, whose settings are those that its reasons were written for; what it foretells is no setting."""
        names = [name for name in self.reasons if name not in _FORETOLD]
        return self.model_copy(update={"derived": self._values(names)})

    @property
    def by_hand(self) -> tuple[str, ...]:
        """Dotted names of the values that are not those that their reasons were written for."""
        return set_by_hand(self._values(self.derived), self.derived)

    @property
    def told_reasons(self) -> dict[str, str]:
        """Why each value is what it is, by dotted name: its reason, or that it was set by hand."""
        return told_reasons(self.reasons, self._values(self.derived), self.derived)

    def _values(self, names: Iterable[str]) -> dict[str, JsonValue]:
        content = self.model_dump(mode="json", exclude_none=True, exclude={"reasons", "derived"})
        return values_at(content, names)

    @property
    def sequences(self) -> tuple[str, ...]:
        """Names of the sequences, in the order of the channels."""
        return tuple(self.preprocessing.intensity)

    @property
    def map_px(self) -> int:
        """Side of the encoder's last feature map, rounded up; the paper's 224 px give 7."""
        return -(-self.preprocessing.input_size_px // encoder_stride_px(self.network.encoder))


def _last_name(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]
