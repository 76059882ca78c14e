"""`autodls predict` of one case against the same networks as float32 .pt files, loaded one by one.

    python benchmarks/predict.py [--rounds 5] [--folds 5] [--px 64] [--folder FOLDER]

Five folds of three ResNet-101 and a fusion, with random weights; one phantom case. Every run is a process of its own,
the peers share preprocessing, fusion and ensemble with autodls and differ in how encoders are stored, read and run. All
must give the same score. With --cases 1 8 64 the cost per case over several numbers of cases is measured as well.
"""

import json
import os
import shutil
import sys
import tempfile
from argparse import ArgumentParser
from contextlib import redirect_stdout
from pathlib import Path

from side_by_side import OURS, Usage, interleaved, machine, show, whole_process

SEQUENCES = ("T1WI", "T2WI", "CE-T1WI")
PEERS = {"plain PyTorch": "plain", "MONAI": "monai"}
TOLERANCE = 1e-3  # of the score: half precision in the model folder


def write_study(folder: Path, folds: int, px: int) -> None:
    """A model folder, the same weights as .pt files, and one case."""
    import torch
    from plain_resnet import random_state

    from autodls.models.fold_files import save_folded, save_fusion
    from autodls.models.folded import FoldedEncoder
    from autodls.models.network import FoldModel, new_fusion
    from autodls.models.pca import ChannelPCA
    from autodls.phantom.cohort import write_cohort
    from autodls.phantom.settings import PhantomSettings
    from autodls.records.files import sha256_of_file
    from autodls.records.model_folders import ModelFolder
    from autodls.records.scale import LogisticScale

    write_cohort(folder / "cohort", PhantomSettings(cases=4, seed=0, matrix_factor=0.5))
    plan, record = _plan(px), _record(folds)
    from planning_records import blank_fingerprint

    target, files = ModelFolder(folder / "model"), {}
    for index in range(folds):
        draw = torch.Generator().manual_seed(index)
        projections = {}
        for number, name in enumerate(SEQUENCES):
            state = random_state(100 * index + number, px)
            (folder / "pt").mkdir(exist_ok=True)
            torch.save(state, folder / "pt" / f"{index}-{name}.pt")
            save_folded(target.fold(index), name, FoldedEncoder.from_state(state))
            components = torch.linalg.qr(torch.randn(2048, plan.network.pca_dims, generator=draw)).Q.T.contiguous()
            projections[name] = ChannelPCA(torch.zeros(2048), components, torch.tensor(5.0))
        fusion = new_fusion(plan, plan.network.pca_dims)
        fusion.start_from_random(draw)
        scales = {row: LogisticScale(slope=1.0, intercept=0.0) for row in ("dls", *SEQUENCES)}
        save_fusion(target.fold(index), FoldModel({}, projections, fusion, scales), {})
        for stage in (*SEQUENCES, "fusion"):
            files[f"fold_{index}/{stage}.safetensors"] = sha256_of_file(target.fold(index).sequence(stage))
    plan.save(target.plan)
    blank_fingerprint(*SEQUENCES).save(target.fingerprint)
    hashes = {"plan_sha256": sha256_of_file(target.plan), "fingerprint_sha256": sha256_of_file(target.fingerprint)}
    record.model_copy(update={"files": files, **hashes}).sealed().save(target.record)


def _plan(px: int):
    """The demo's plan with three sequences, at `px`."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from tiny_models import tiny_plan

    from autodls.records.plan import FusionPlan, NetworkPlan

    plan = tiny_plan(SEQUENCES, input_size_px=px, slice_size_px=round(px * 8 / 7), registration="geometry")
    fusion = FusionPlan(patch_px=1, heads=8, layers=3, dropout=0.1)
    network = NetworkPlan(encoder="resnet101", encoder_weights="random", pca_dims=128, fusion=fusion)
    return plan.model_copy(update={"network": network})


def _record(folds: int):
    from tiny_models import tiny_model, tiny_plan

    record = tiny_model(tiny_plan(SEQUENCES)).record
    return record.model_copy(update={"folds": folds})


def take_cases(folder: Path, count: int) -> Path:
    """A folder with `count` copies of the case under names of their own, images and ROIs."""
    place = folder / f"cases-{count}"
    if place.exists():
        return place
    case = min(path.name.split("_")[0] for path in (folder / "cohort" / "imagesTr").iterdir())
    for number in range(count):
        for part in ("imagesTr", "labelsTr"):
            (place / part).mkdir(parents=True, exist_ok=True)
            for path in (folder / "cohort" / part).glob(f"{case}*"):
                os.link(path, place / part / path.name.replace(case, f"case{number:04d}"))
    return place


def by_autodls(folder: Path, cases: Path) -> None:
    """The command itself."""
    from autodls.cli.app import main

    words = [
        "-i",
        cases / "imagesTr",
        "--rois",
        cases / "labelsTr",
        "-o",
        cases / "out",
        "-m",
        folder / "model",
        "--overwrite",
    ]
    sys.argv = ["autodls", "predict", *map(str, words)]
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        main()


def by_files(folder: Path, cases: Path, library: str) -> None:
    """Float32 .pt files, one network in memory at a time."""
    import numpy as np
    import torch

    from autodls.models.fold_files import load_fusion
    from autodls.models.network import class_logit
    from autodls.preprocessing.case import prepare_case
    from autodls.records.model import ModelRecord
    from autodls.records.model_folders import ModelFolder
    from autodls.records.plan import Plan

    root, cpu = ModelFolder(folder / "model"), torch.device("cpu")
    plan = Plan.load(root.plan, "")
    record = ModelRecord.load(root.record, "")
    images = {name: cases / "imagesTr" / f"case0000_{index:04d}.nii.gz" for index, name in enumerate(SEQUENCES)}
    sample = prepare_case(
        "case0000", images, cases / "labelsTr" / "case0000.nii.gz", frozenset({1}), plan.preprocessing
    )
    size = plan.preprocessing.input_size_px
    edge = (sample.pixels.shape[-1] - size) // 2
    pixels = torch.from_numpy(sample.pixels[:, :, edge : edge + size, edge : edge + size].copy())
    encoder, prefix = _network(library)
    log_odds = []
    with torch.inference_mode():
        for index in range(record.folds):
            fold, maps = load_fusion(root.fold(index), plan, cpu), []
            for planes, name in zip(pixels, SEQUENCES, strict=True):
                state = torch.load(folder / "pt" / f"{index}-{name}.pt", weights_only=True)
                encoder.load_state_dict({f"{prefix}{key}": value for key, value in state.items()}, assign=True)
                maps.append(fold.projections[name].project(encoder.features(planes[None])))
            margin = class_logit(fold.fusion(torch.stack(maps, dim=1), torch.ones(1, 3, dtype=torch.bool)))
            log_odds.append(fold.scales["dls"].log_odds(margin.double().numpy()))
    dls = record.recalibration.probability(np.mean(log_odds, axis=0))
    (cases / f"{library}.json").write_text(json.dumps(float(dls[0])))


def _network(library: str):
    """A network without memory for weights, which is built once and lets files be read without a copy."""
    import torch

    with torch.device("meta"):
        if library == "plain":
            from plain_resnet import PlainResNet101

            return PlainResNet101().eval(), ""
        from autodls.models.encoder import SequenceEncoder

        return SequenceEncoder("resnet101", 0.0, 0.1).eval(), "net."


def check(cases: Path) -> str:
    """The largest difference of the peers' score to ours; raises ValueError beyond the tolerance."""
    ours = json.loads((cases / "out" / "predict.json").read_text())["cases"][0]["dls"]
    apart = {peer: abs(json.loads((cases / f"{name}.json").read_text()) - ours) for peer, name in PEERS.items()}
    if max(apart.values()) > TOLERANCE:
        raise ValueError(f"scores differ: ours {ours}, apart by {apart}")
    return f"DLS {ours:.6f}; largest difference {max(apart.values()):.1e} (tolerance {TOLERANCE:g})"


def run(folder: Path, rounds: int, counts: list[int]) -> None:
    """Print the tables."""
    here, one = str(Path(__file__)), take_cases(folder, 1)
    competitors = {OURS: whole_process(here, "run", "autodls", str(folder), str(one))}
    competitors |= {peer: whole_process(here, "run", name, str(folder), str(one)) for peer, name in PEERS.items()}
    usages = interleaved(competitors, rounds)
    show("predict, one case, whole process, warm", usages, {OURS: check(one)})
    size = sum(path.stat().st_size for path in (folder / "model").rglob("*.safetensors"))
    files = sum(path.stat().st_size for path in (folder / "pt").iterdir())
    print(f"model folder {size / 1e9:.2f} GB, .pt files {files / 1e9:.2f} GB")
    if counts:
        places = {count: take_cases(folder, count) for count in counts}
        runs = {str(n): whole_process(here, "run", "autodls", str(folder), str(place)) for n, place in places.items()}
        show_scale({int(count): usage for count, usage in interleaved(runs, max(1, rounds // 2)).items()})


def show_scale(usages: dict[int, Usage]) -> None:
    """Cost per case and peak memory over the number of cases."""
    print(f"\n{'cases':>6}{'wall s':>10}{'wall s a case':>16}{'CPU s a case':>15}{'peak MiB':>10}")
    for count, usage in usages.items():
        row = (usage.wall_s, usage.wall_s / count, usage.cpu_s / count, usage.memory_mib)
        print(f"{count:>6}{row[0]:>10.2f}{row[1]:>16.3f}{row[2]:>15.3f}{row[3]:>10.0f}")


def main() -> None:
    """Run the benchmark, or one of its processes."""
    if sys.argv[1:2] == ["run"]:
        library, folder, cases = sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])
        by_autodls(folder, cases) if library == "autodls" else by_files(folder, cases, library)
        return
    if sys.argv[1:2] == ["write"]:
        write_study(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
        return
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--px", type=int, default=64)
    parser.add_argument("--cases", type=int, nargs="*", default=[], help="numbers of cases to measure the scale with")
    parser.add_argument("--folder", type=Path, help="where the study is kept; a temporary folder by default")
    asked = parser.parse_args()
    folder = asked.folder or Path(tempfile.mkdtemp())
    print(machine())
    if not (folder / "model" / "model.json").exists():
        # In a process of its own, whose peak of memory is not that of those that are measured.
        whole_process(__file__, "write", str(folder), str(asked.folds), str(asked.px))()
    run(folder, asked.rounds, asked.cases)
    if asked.folder is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
