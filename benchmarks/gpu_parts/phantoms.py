"""From images: what is learnt of a phantom cohort by whole commands, and how long they take; and a fold of nnU-Net."""

import json
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from autodls.machine import usable_cores
from autodls.phantom.cohort import PhantomSettings, PhantomTruth, write_cohort
from autodls.records.plan import Plan
from autodls.records.workspace import Workspace
from gpu_parts import Figures, LeftOutError, Part, Setting

_MOST_WORKERS = 16
_SMALL = {
    "preprocessing.input_size_px": 32, "preprocessing.slice_size_px": 36, "training.folds": 2, "training.epochs": 2,
    "training.fusion_epochs": 2, "training.batch_size": 4, "network.pca_dims": 8,
}  # fmt: skip


def by_auto(setting: Setting) -> Part:
    """Everything derived from the cohort and the device."""
    return _quality(setting, "auto", {})


def by_paper(setting: Setting) -> Part:
    """The paper's settings; in small, its network too is small."""
    return _quality(setting, "paper", setting.pick({}, {"network.encoder": "resnet8"}))


def _quality(setting: Setting, preset: str, given: Figures) -> Part:
    """AUC of every score, out of fold and in the other hospital, beside the best possible."""
    dataset, truth, seconds = _cohort(setting, "cohort", *setting.pick((267, 249), (20, 6)))
    yield {"cohort_s": seconds, "dls_best_possible_auc": truth.images_ceiling_auc}
    yield {f"{name}_best_possible_auc": value for name, value in truth.sequence_ceiling_auc.items()}
    workspace = Workspace(setting.folder / f"phantoms-{preset}")
    yield _planned(setting, dataset, workspace, preset, {**setting.pick({}, _SMALL), **given})
    place = ("-d", str(dataset), "-w", str(workspace.root), "--workers", str(workers()), "--json")
    seconds, shown = command("train", "fold", "all", *place)
    yield {"train_s": seconds, **_aucs(json.loads(shown)["auc"])}
    seconds, shown = command("evaluate", *place)
    yield {"evaluate_s": seconds, **_aucs(json.loads(shown))}


def _planned(setting: Setting, dataset: Path, workspace: Workspace, preset: str, given: Figures) -> Figures:
    """What the plan says that matters here."""
    if given:
        preset = str(_with_values(setting, preset, given))
    words = ("-d", str(dataset), "-w", str(workspace.root), "--preset", preset, "--device", setting.device)
    seconds, _ = command("plan", *words, "--encoder-weights", "random", "--workers", str(workers()))
    plan = Plan.load(workspace.plan, "")
    return {
        "plan_s": seconds,
        "encoder": plan.network.encoder,
        "input_px": plan.preprocessing.input_size_px,
        "batch_size": plan.training.batch_size,
        "epochs": plan.training.epochs,
        "precision": plan.training.precision,
        "augmentation": plan.training.augmentation,
        "predicted_training_s": 60 * plan.budget.predicted_training_minutes,
    }


def _with_values(setting: Setting, preset: str, given: Figures) -> Path:
    """A file with a preset that gives more than `preset`."""
    from autodls.planning.presets import load_preset

    known = load_preset(preset)
    path = setting.folder / f"{preset}-small.json"
    known.model_copy(update={"given": {**known.given, **given}}).save(path)
    return path


def _aucs(rows: list[dict[str, object]]) -> Figures:
    """By cohort and score; the training cohort is judged out of fold."""
    cohort = {row["cohort"]: "oof" if str(row["cohort"]).startswith("train") else row["cohort"] for row in rows}
    return {f"{cohort[row['cohort']]}_{row['row']}_auc".replace(" ", "_"): row["value"] for row in rows}


def nnunet_fold(setting: Setting) -> Part:
    """One fold of a small 2D nnU-Net on phantoms: time, and Dice with the ROIs of the cases that it did not see."""
    if find_spec("nnunetv2") is None:
        raise LeftOutError("nnunetv2 is not installed")
    dataset, _, _ = _cohort(setting, "segmented", *setting.pick((40, 0), (16, 0)))
    workspace = Workspace(setting.folder / "nnunet")
    epochs, iterations = setting.pick((10, 50), (1, 2))
    schedule = {"planner": "small", "configuration": "2d", "epochs": epochs, "iterations_per_epoch": iterations}
    given = {**_SMALL, **{f"segmentation.{name}": value for name, value in schedule.items()}}
    _planned(setting, dataset, workspace, "auto", given)
    words = ("-d", str(dataset), "-w", str(workspace.root), "--workers", str(workers()), "--json")
    seconds, shown = command("segment", "fold", "0", *words)
    told = json.loads(shown)
    yield {"segment_s": seconds, "iterations": epochs * iterations, "drawn": told["cases"]}
    yield {"mean_confidence": told["mean_confidence"], "mean_dice": _mean_dice(dataset, workspace)}


def _mean_dice(dataset: Path, workspace: Workspace) -> float | None:
    from autodls.imaging.volumes import read_roi

    found = []
    for path in sorted(workspace.auto_roi("x").parent.glob("*.nii.gz")):
        mine, theirs = (read_roi(file, frozenset({1})).array for file in (path, dataset / "labelsTr" / path.name))
        found.append(2 * float((mine & theirs).sum()) / max(1, int(mine.sum() + theirs.sum())))
    return sum(found) / len(found) if found else None


def _cohort(setting: Setting, name: str, cases: int, external: int) -> tuple[Path, PhantomTruth, float]:
    """The folder of a phantom cohort, which is made once; its truth; and the seconds that it took."""
    if find_spec("SimpleITK") is None:
        raise LeftOutError("SimpleITK is not installed: no phantom can be written")
    settings = PhantomSettings(
        seed=7, prevalence=0.322, cases=cases, external_cases=external, matrix_factor=setting.pick(1.0, 0.4)
    )
    started = time.perf_counter()
    folder = setting.folder / name
    truth = write_cohort(folder, settings, workers=workers())
    return folder, truth, time.perf_counter() - started


def workers() -> int:
    """Processes that read and write images."""
    return min(_MOST_WORKERS, usable_cores())


def command(*words: str) -> tuple[float, str]:
    """Seconds of an `autodls` command, start of the process included, and what it shows; raises RuntimeError."""
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "autodls", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise RuntimeError(f"autodls {' '.join(words[:3])}: status {done.returncode}: {last}")
    return time.perf_counter() - started, done.stdout
