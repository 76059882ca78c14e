"""A whole study where nnU-Net cannot be imported; run as a program with a folder, it prints what each command said."""

import json
import sys
from pathlib import Path

BLOCKED = ("nnunetv2", "batchgeneratorsv2", "dynamic_network_architectures", "acvl_utils")


def run(root):
    """Status, last line of stderr and stdout of every command."""
    import pytest
    from command_line import autodls, write_phantom, write_preset
    from made_up_masks import write_masks
    from tiny_study import use_tiny_resnet

    from autodls.records.workspace import Workspace

    dataset = write_phantom(root / "dataset", cases=12, external_cases=1)
    common, workspace = ("-d", dataset, "--workers", 1), Workspace(dataset / "autodls")
    with pytest.MonkeyPatch.context() as monkeypatch:
        use_tiny_resnet(monkeypatch)
        answers = {
            "plan": autodls("plan", *common, "--preset", write_preset(root / "preset.json")),
            "train": autodls("train", "fold", "all", *common),
        }
        write_masks(dataset, workspace)
        new = ("-i", dataset / "imagesTr", "-o", root / "out", "-d", dataset)
        answers |= {
            "train on automatic ROIs": autodls("train", "fold", "all", "--rois", "auto", *common),
            "predict": autodls("predict", "--rois", dataset / "labelsTr", *new),
            "report": autodls("report", "-d", dataset),
            "segment": autodls("segment", "fold", "all", *common),
            "predict without ROIs": autodls("predict", *new, "--overwrite"),
        }
    return {name: (answer.status, answer.err.splitlines()[-1:], answer.out) for name, answer in answers.items()}


if __name__ == "__main__":
    for module in BLOCKED:
        sys.modules[module] = None
    said = run(Path(sys.argv[1]))
    imported = [name for name, module in sys.modules.items() if name.startswith(BLOCKED) and module is not None]
    sys.stdout.write(json.dumps({"said": said, "imported": imported}))
