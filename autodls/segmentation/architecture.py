"""The network that nnU-Net's plans describe, built from names that we know and no others.

nnU-Net imports whatever a plans.json names, and a plans.json may come from anywhere. Import it inside
`environment.nnunet` only.
"""

from pathlib import Path

import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager
from torch import nn

from autodls.errors import ModelFolderError
from autodls.segmentation.nnunet_records import LABELS, REPAIR

NETWORKS = {f"{kind.__module__}.{kind.__name__}": kind for kind in (PlainConvUNet, ResidualEncoderUNet)}
PARTS = {
    "torch.nn.modules.conv.Conv2d": nn.Conv2d,
    "torch.nn.modules.conv.Conv3d": nn.Conv3d,
    "torch.nn.modules.instancenorm.InstanceNorm2d": nn.InstanceNorm2d,
    "torch.nn.modules.instancenorm.InstanceNorm3d": nn.InstanceNorm3d,
    "torch.nn.LeakyReLU": nn.LeakyReLU,
    None: None,
}


def build_network(configuration: ConfigurationManager, channels: int, where: Path) -> nn.Module:
    """The network of `configuration` for `channels` input channels, without memory for its weights.

    Raises ModelFolderError where the plans in `where` do not describe a network of nnU-Net's.
    """
    try:
        kind = NETWORKS[configuration.network_arch_class_name]
        arguments = dict(configuration.network_arch_init_kwargs)
        for part in configuration.network_arch_init_kwargs_req_import:
            arguments[part] = PARTS[arguments[part]]
        with torch.device("meta"):
            network: nn.Module = kind(
                input_channels=channels, num_classes=len(LABELS), deep_supervision=False, **arguments
            )
    except (KeyError, TypeError, ValueError, RuntimeError, AssertionError, IndexError) as failure:
        found = f"{type(failure).__name__}: {failure}"
        raise ModelFolderError(f"{where}: describes no network of nnU-Net's ({found}); {REPAIR}") from None
    return network
