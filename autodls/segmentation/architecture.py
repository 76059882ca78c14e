"""The network that nnU-Net's plans describe, built from names that we know and no others.

nnU-Net imports whatever a plans.json names, and a plans.json may come from anywhere. Import it inside
`environment.nnunet` only.
"""

from pathlib import Path
from typing import Any

import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from torch import nn

from autodls.errors import ModelFolderError

LABELS = 2  # background and tumour
MOST_STAGES, MOST_BLOCKS, MOST_FEATURES = 16, 16, 2048
NETWORKS = {f"{kind.__module__}.{kind.__name__}": kind for kind in (PlainConvUNet, ResidualEncoderUNet)}
PARTS = {
    "torch.nn.modules.conv.Conv2d": nn.Conv2d,
    "torch.nn.modules.conv.Conv3d": nn.Conv3d,
    "torch.nn.modules.instancenorm.InstanceNorm2d": nn.InstanceNorm2d,
    "torch.nn.modules.instancenorm.InstanceNorm3d": nn.InstanceNorm3d,
    "torch.nn.LeakyReLU": nn.LeakyReLU,
    None: None,
}
# What nnU-Net's planners write, by the field of the plans that names it.
FUNCTIONS = {
    "preprocessor_name": "DefaultPreprocessor",
    "resampling_fn_data": "resample_data_or_seg_to_shape",
    "resampling_fn_seg": "resample_data_or_seg_to_shape",
    "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
}
NORMALISATIONS = {"ZScoreNormalization", "CTNormalization"}
CLASSES = {"label_manager": "LabelManager", "image_reader_writer": "SimpleITKIO"}


def known_configuration(plans: PlansManager, name: str, where: Path) -> ConfigurationManager:
    """Configuration `name` of `plans`; raises ModelFolderError where it names code that our planners do not."""
    try:
        manager = plans.get_configuration(name)
        content = manager.configuration
        named = {field: content[field] for field in FUNCTIONS} | {field: plans.plans[field] for field in CLASSES}
        schemes = set(content["normalization_schemes"])
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as failure:
        raise _refused(where, f"has no usable configuration '{name}' ({failure})") from None
    for field, value in named.items():
        if value != (FUNCTIONS | CLASSES)[field]:
            raise _refused(where, f"{field} is '{value}', expected '{(FUNCTIONS | CLASSES)[field]}'")
    if not schemes <= NORMALISATIONS:
        raise _refused(where, f"normalization_schemes are {sorted(schemes)}, known are {sorted(NORMALISATIONS)}")
    return manager


def build_network(configuration: ConfigurationManager, channels: int, where: Path) -> nn.Module:
    """The network of `configuration` for `channels` input channels, without memory for its weights.

    Raises ModelFolderError where the plans in `where` do not describe a network of nnU-Net's.
    """
    try:
        kind = NETWORKS[configuration.network_arch_class_name]
        arguments = dict(configuration.network_arch_init_kwargs)
        for part in configuration.network_arch_init_kwargs_req_import:
            arguments[part] = PARTS[arguments[part]]
        _require_bounded(arguments)
        with torch.device("meta"):
            network: nn.Module = kind(input_channels=channels, num_classes=LABELS, deep_supervision=False, **arguments)
    except (KeyError, TypeError, ValueError, RuntimeError, AssertionError, IndexError) as failure:
        raise _refused(where, f"describes no network of nnU-Net's ({type(failure).__name__}: {failure})") from None
    return network


def _require_bounded(arguments: dict[str, Any]) -> None:
    """Refuse numbers that no planner writes and that would take for ever to build."""
    blocks = [*arguments.get("n_conv_per_stage", ()), *arguments.get("n_blocks_per_stage", ())]
    blocks += arguments["n_conv_per_stage_decoder"]
    if not 1 <= arguments["n_stages"] <= MOST_STAGES or len(blocks) > 2 * MOST_STAGES:
        raise ValueError(f"{arguments['n_stages']} stages")
    if max(blocks) > MOST_BLOCKS or max(arguments["features_per_stage"]) > MOST_FEATURES:
        raise ValueError(f"{max(blocks)} blocks of {max(arguments['features_per_stage'])} features")


def _refused(where: Path, what: str) -> ModelFolderError:
    return ModelFolderError(f"{where}: {what}; copy the folder anew from where it was trained")
