"""plans.json and dataset.json of a segmenter: exactly what our own export writes, and nothing that nnU-Net would add.

nnU-Net trusts its plans. They travel in model folders that may come from anywhere, so what it is given is made from
these records: numbers within bounds, functions with the arguments that its planners write, one configuration.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from autodls.errors import ModelFolderError
from autodls.imaging.headers import LEAST_SPACING_MM, MOST_SPACING_MM
from autodls.records.base import Record, read_json_hashed
from autodls.records.model import require_same_sha256
from autodls.records.segmentation_folders import SegmenterFolder

REPAIR = "run 'autodls segment fold all --restart', or copy the model folder anew"
LABELS = {"background": 0, "tumour": 1}
MOST_PATCH_VOXELS = {2: 5 << 20, 3: 1 << 24}  # what nnU-Net's planners start from, padded for their poolings
MOST_PATCH_FEATURES = 1 << 29  # 2 GiB
MOST_STAGES, MOST_BLOCKS, MOST_FEATURES = 16, 16, 2048
_IMPORTED = ["conv_op", "norm_op", "dropout_op", "nonlin"]
_RESAMPLED = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}


def _exactly(expected: object) -> AfterValidator:
    def check(found: object) -> object:
        if found != expected:
            raise ValueError(f"must be {expected}")
        return expected

    return AfterValidator(check)


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,80}$")]
Count = Annotated[int, Field(ge=1, le=1 << 24)]
Size = Annotated[int, Field(ge=1, le=1 << 16)]
SpacingMm = Annotated[float, Field(ge=LEAST_SPACING_MM, le=MOST_SPACING_MM)]
Blocks = tuple[Annotated[int, Field(ge=1, le=MOST_BLOCKS)], ...]
# An axis that is too coarse or too short is not convolved, not pooled.
Kernel = Literal[1, 3]
Stride = Literal[1, 2]
Resampler = Literal["resample_data_or_seg_to_shape"]
Normalisation = Literal["ZScoreNormalization", "CTNormalization"]


class NetworkArguments(Record):
    """Arguments of the network's class; one of `n_conv_per_stage` and `n_blocks_per_stage` by the class."""

    n_stages: Annotated[int, Field(ge=1, le=MOST_STAGES)]
    features_per_stage: tuple[Annotated[int, Field(ge=1, le=MOST_FEATURES)], ...]
    conv_op: Literal["torch.nn.modules.conv.Conv2d", "torch.nn.modules.conv.Conv3d"]
    kernel_sizes: tuple[tuple[Kernel, ...], ...]
    strides: tuple[tuple[Stride, ...], ...]
    n_conv_per_stage: Blocks = ()
    n_blocks_per_stage: Blocks = ()
    n_conv_per_stage_decoder: Blocks
    conv_bias: Literal[True]
    norm_op: Literal["torch.nn.modules.instancenorm.InstanceNorm2d", "torch.nn.modules.instancenorm.InstanceNorm3d"]
    norm_op_kwargs: Annotated[dict[str, Any], _exactly({"eps": 1e-5, "affine": True})]
    dropout_op: None
    dropout_op_kwargs: None
    nonlin: Literal["torch.nn.LeakyReLU"]
    nonlin_kwargs: Annotated[dict[str, Any], _exactly({"inplace": True})]

    def is_of(self, axes: int) -> bool:
        """Whether every argument is for images of so many axes, and there is one for every stage."""
        by_stage = (self.kernel_sizes, self.strides, self.features_per_stage, (*self.n_conv_per_stage_decoder, 1))
        encoder = self.n_conv_per_stage or self.n_blocks_per_stage
        return (
            self.conv_op.endswith(f"Conv{axes}d")
            and self.norm_op.endswith(f"Norm{axes}d")
            and {len(values) for values in (*self.kernel_sizes, *self.strides)} == {axes}
            and {len(values) for values in (*by_stage, encoder)} == {self.n_stages}
        )

    def features_of(self, voxels: int) -> int:
        """Numbers in the largest feature map of a patch of so many voxels."""
        steps = [math.prod(strides) for strides in self.strides]
        left = [voxels // math.prod(steps[: stage + 1]) for stage in range(self.n_stages)]
        return max(count * features for count, features in zip(left, self.features_per_stage, strict=True))


class Architecture(Record):
    """The network's class and its arguments."""

    network_class_name: Literal[
        "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet",
    ]
    arch_kwargs: NetworkArguments
    imported: Annotated[list[str], _exactly(_IMPORTED)] = Field(alias="_kw_requires_import")


class Configuration(Record):
    """One configuration of the plans; sizes and spacings in nnU-Net's order of axes, mm."""

    data_identifier: Name
    preprocessor_name: Literal["DefaultPreprocessor"]
    batch_size: Count
    patch_size: tuple[Size, ...] = Field(min_length=2, max_length=3)
    median_image_size_in_voxels: tuple[float, ...]
    spacing: tuple[SpacingMm, ...]
    normalization_schemes: tuple[Normalisation, ...]
    use_mask_for_norm: tuple[bool, ...]
    resampling_fn_data: Resampler
    resampling_fn_seg: Resampler
    resampling_fn_data_kwargs: Annotated[dict[str, Any], _exactly(_RESAMPLED)]
    resampling_fn_seg_kwargs: Annotated[dict[str, Any], _exactly(_RESAMPLED | {"is_seg": True, "order": 1})]
    resampling_fn_probabilities: Resampler
    resampling_fn_probabilities_kwargs: Annotated[dict[str, Any], _exactly(_RESAMPLED | {"order": 1})]
    architecture: Architecture
    batch_dice: bool

    @model_validator(mode="after")
    def _consistent(self) -> "Configuration":
        axes, network = len(self.patch_size), self.architecture.arch_kwargs
        if len(self.spacing) != axes or not network.is_of(axes):
            raise ValueError(f"spacing and network must be those of a patch of {axes} axes")
        pooled = [math.prod(strides[axis] for strides in network.strides) for axis in range(axes)]
        if any(size % step for size, step in zip(self.patch_size, pooled, strict=True)):
            raise ValueError(f"a patch of {self.patch_size} cannot be pooled by {pooled}")
        voxels, numbers = math.prod(self.patch_size), network.features_of(math.prod(self.patch_size))
        if voxels > MOST_PATCH_VOXELS[axes] or numbers > MOST_PATCH_FEATURES:
            raise ValueError(
                f"a patch of {self.patch_size} has {voxels} voxels and {numbers} features, expected at most "
                f"{MOST_PATCH_VOXELS[axes]} and {MOST_PATCH_FEATURES}"
            )
        return self


class Intensities(Record):
    """Intensities of one channel inside the tumours."""

    mean: float
    median: float
    std: Annotated[float, Field(ge=0)]
    min: float
    max: float
    percentile_99_5: float
    percentile_00_5: float


class NnunetPlans(Record):
    """nnU-Net's plans with the one configuration that is used."""

    dataset_name: Name
    plans_name: Name
    original_median_spacing_after_transp: tuple[float, float, float]
    original_median_shape_after_transp: tuple[int, int, int]
    image_reader_writer: Literal["SimpleITKIO"]
    transpose_forward: tuple[int, int, int]
    transpose_backward: tuple[int, int, int]
    configurations: dict[Literal["2d", "3d_fullres"], Configuration]
    experiment_planner_used: Name
    label_manager: Literal["LabelManager"]
    foreground_intensity_properties_per_channel: dict[str, Intensities]

    @model_validator(mode="after")
    def _transposed_and_back(self) -> "NnunetPlans":
        if sorted(self.transpose_forward) != [0, 1, 2] or any(
            self.transpose_backward[axis] != place for place, axis in enumerate(self.transpose_forward)
        ):
            raise ValueError(f"axes {self.transpose_forward} and {self.transpose_backward} do not undo each other")
        for name, configuration in self.configurations.items():
            if len(configuration.patch_size) != (2 if name == "2d" else 3):
                raise ValueError(f"configuration {name} has a patch of {configuration.patch_size}")
        return self


class NnunetDataset(Record):
    """nnU-Net's description of channels and labels."""

    channel_names: dict[str, Literal["CT", "zscore"]] = Field(min_length=1)
    labels: Annotated[dict[str, int], _exactly(LABELS)]
    num_training: Count = Field(alias="numTraining")
    file_ending: Literal[".nii.gz"]
    overwrite_image_reader_writer: Literal["SimpleITKIO"]


def read_nnunet_records(
    folder: SegmenterFolder, configuration: str, hashes: Mapping[str, str] = MappingProxyType({})
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Plans with `configuration` alone, and the description of the dataset, as nnU-Net takes them.

    Raises ModelFolderError for files that our export does not write, for two that do not fit each other, and for one
    that has not the SHA-256 that `hashes` has of its name.
    """
    content, plans_sha256 = read_json_hashed(folder.plans, REPAIR, ModelFolderError)
    known = content.get("configurations") if isinstance(content, dict) else None
    if not isinstance(content, dict) or not isinstance(known, dict) or configuration not in known:
        raise ModelFolderError(f"{folder.plans}: has no configuration '{configuration}', it is not nnU-Net's; {REPAIR}")
    used = content | {"configurations": {configuration: known[configuration]}}
    plans = NnunetPlans.parse(used, str(folder.plans), REPAIR, ModelFolderError)
    dataset, dataset_sha256 = NnunetDataset.load_hashed(folder.dataset, REPAIR, ModelFolderError)
    for path, found in ((folder.plans, plans_sha256), (folder.dataset, dataset_sha256)):
        require_same_sha256(path, found, hashes.get(path.name, found), REPAIR)
    _require_same_channels(folder, plans, dataset)
    return _as_nnunet_takes_it(plans), _as_nnunet_takes_it(dataset)


def _as_nnunet_takes_it(record: Record) -> dict[str, Any]:
    # Without what is unset: the blocks of the other class of networks may not be named to this one.
    return record.model_dump(mode="json", by_alias=True, exclude_unset=True)


def _require_same_channels(folder: SegmenterFolder, plans: NnunetPlans, dataset: NnunetDataset) -> None:
    channels = [str(index) for index in range(len(dataset.channel_names))]
    (configuration,) = plans.configurations.values()
    counts = {len(configuration.normalization_schemes), len(configuration.use_mask_for_norm)}
    named = [sorted(names) for names in (dataset.channel_names, plans.foreground_intensity_properties_per_channel)]
    if named != [sorted(channels)] * 2 or counts != {len(channels)}:
        raise ModelFolderError(f"{folder.plans}: its channels are not the {len(channels)} of dataset.json; {REPAIR}")
