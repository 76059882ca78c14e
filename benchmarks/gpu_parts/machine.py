"""What this machine is."""

import torch
from side_by_side import machine

from autodls.machine import usable_cores, usable_memory_gib
from autodls.models.device import resolve_device
from gpu_parts import Part, Setting


def describe(setting: Setting) -> Part:
    """Card, processor and versions; `device` is what "auto" comes to."""
    device = resolve_device(setting.device).type
    card = torch.cuda.get_device_name() if device == "cuda" else "no GPU"
    yield {"device": device, "card": card}
    if device == "cuda":
        yield {"card_gib": torch.cuda.get_device_properties(0).total_memory / 2**30, "cuda": torch.version.cuda}
    yield {
        "torch": torch.__version__,
        "processor": machine(),
        "usable_cores": usable_cores(),
        "usable_memory_gib": usable_memory_gib(),
    }
