"""The pictures of the concepts, drawn while the site is built by the figure functions of the report: none is committed.

Scores are simulated from known probabilities; the planes are those of a phantom patient. The same code gives the same
bytes.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from autodls.analysis.candidates import Compared, comparison
from autodls.analysis.comparison_results import Comparison
from autodls.analysis.patients import Agreement, patients_benchmark
from autodls.analysis.patients_results import PatientsBenchmark
from autodls.analysis.rois_effect import cohort_robustness
from autodls.analysis.rois_records import CohortRobustness
from autodls.candidates.fold import DEEP
from autodls.evaluation.agreement_records import KINDS, STEPS_MM, PerturbedScore
from autodls.evaluation.arrays import Floats
from autodls.evaluation.cohort_table import CohortTable
from autodls.evaluation.learning_curve import measure_curve
from autodls.evaluation.metrics import Choices, evaluate_table
from autodls.evaluation.scores_table import ScoreTable
from autodls.phantom.cohort import PhantomSettings, write_cohort
from autodls.preprocessing.one_case import preprocess_case
from autodls.preprocessing.store import Sample
from autodls.records.comparison import FoldComparison
from autodls.records.preprocessing_plan import IntensityPlan, PreprocessingPlan
from autodls.records.scale import sigmoid
from autodls.report.drawn import save_png
from autodls.report.figures.candidates import candidates_decision_figure, candidates_figure
from autodls.report.figures.discrimination import roc_figure
from autodls.report.figures.overlays import draw_plane
from autodls.report.figures.patients import patients_figure
from autodls.report.figures.probability import calibration_figure, decision_figure
from autodls.report.figures.rois import robustness_figure
from autodls.report.figures.style import new_figure, styled
from autodls.report.figures.survival import survival_figure

TRAINING, HELD_OUT = "train (out of fold)", "held out"
CUTOFF = 0.4
_FOLDS = 5
_CASES, _SIZE_PX, _CROP_MM = 200, 256, 70.0


def draw_pictures(folder: Path) -> list[str]:
    """Write all pictures into `folder`; their names."""
    folder.mkdir(parents=True, exist_ok=True)
    table = simulated_scores()
    metrics = evaluate_table(table, Choices(cutoffs={"dls": CUTOFF}, cutoff_from=TRAINING, out_of_fold=(TRAINING,)))
    equal, adding = simulated_candidates(0.7), simulated_candidates(1.0, integrated=True)
    if adding.decision is None:
        raise RuntimeError("an integrated candidate is simulated, so it has a decision curve")
    drawn = {
        "roc": roc_figure(table, metrics).figure,
        "calibration": calibration_figure(table, metrics, np.random.default_rng(1)).figure,
        "decision_curve": decision_figure(table, metrics, np.random.default_rng(2), calibrated=True).figure,
        "kaplan_meier": survival_figure(table, metrics, "months", "Progression-free survival", "dls").figure,
        "candidates": candidates_figure(equal).figure,
        "integrated": candidates_decision_figure(adding.decision, adding.positives / adding.n).figure,
        "learning_curve": patients_figure(simulated_patients()).figure,
        "perturbation": robustness_figure({TRAINING: simulated_changes()}).figure,
        "planes": planes(),
    }
    for name, one in drawn.items():
        save_png(folder / f"{name}.png", one)
    return sorted(drawn)


def simulated_scores() -> ScoreTable:
    """Two cohorts: in the first a score is the probability of the label, in the second positives are rarer."""
    return ScoreTable(("dls", "T1WI"), {TRAINING: _cohort(160, 0.0, 3), HELD_OUT: _cohort(110, -0.8, 6)})


def _cohort(n: int, shift: float, seed: int) -> CohortTable:
    rng = np.random.default_rng(seed)
    odds = rng.normal(-0.3, 1.6, n)
    labels = rng.random(n) < sigmoid(odds + shift)
    scores = {"dls": sigmoid(odds), "T1WI": sigmoid(0.5 * odds + rng.normal(0, 0.7, n))}
    times = np.round(rng.exponential(14 * np.exp(0.35 * odds)), 1) + 0.1
    censored = np.round(rng.uniform(6, 40, n), 1)
    return CohortTable(n, scores, labels, np.minimum(times, censored), times <= censored, out_of_fold=shift == 0.0)


def simulated_candidates(network: float, *, integrated: bool = False) -> Comparison:
    """Candidates that know as much of the label as one another, the networks as much as `network` says."""
    rng = np.random.default_rng(7)
    names = [f"case_{at:03d}" for at in range(_CASES)]
    truth = np.arange(_CASES) % 3 == 0
    strengths = {"clinical": 0.7, "volume": 0.7, "radiomics": 0.7, DEEP: network}
    scores = {name: strength * (2.0 * truth - 1) + rng.normal(size=_CASES) for name, strength in strengths.items()}
    if integrated:
        scores["integrated_clinical"] = scores[DEEP] + scores["clinical"]
    simple = list(strengths)
    folds = [
        FoldComparison(
            key="",
            fold=fold,
            scores={
                name: {names[at]: float(one[at]) for at in range(fold, _CASES, _FOLDS)} for name, one in scores.items()
            },
            settings={},
            inner=dict.fromkeys(strengths, None),
            stopping={},
            chosen=simple[fold % len(simple)],
        )
        for fold in range(_FOLDS)
    ]
    labels = dict(zip(names, map(bool, truth), strict=True))
    stacks = {"integrated_clinical": (DEEP, "clinical")} if integrated else {}
    return comparison(Compared(folds, labels, {name: name for name in names}, stacks, {}, {}, 0))


def simulated_patients() -> PatientsBenchmark:
    """A candidate whose AUC grows with the number of cases that it is fitted on."""
    rng = np.random.default_rng(11)
    labels = np.arange(_CASES) % 5 < 2
    signal, noise = rng.normal(size=_CASES) + 1.6 * labels, rng.normal(size=_CASES)
    members = [str(at) for at in range(_CASES)]

    def refit(fitted: NDArray[np.intp], scored: NDArray[np.intp]) -> Floats:
        return signal[scored] + (8.0 / np.sqrt(len(fitted))) * (noise[scored] + rng.normal(0, 0.5, len(scored)))

    curve = measure_curve(labels, members, refit, np.random.default_rng(12))
    return patients_benchmark(
        "radiomics",
        curve,
        labels,
        members,
        repeats=5,
        agreement=Agreement(0.8, "assumed"),
        half_width=0.05,
        seed=0,
    )


def simulated_changes() -> CohortRobustness:
    """Scores that move the more, the more the ROI is changed."""
    rng, scores = np.random.default_rng(13), []
    per_mm = {"eroded": 0.10, "dilated": 0.05, "shifted": 0.07}
    for case in range(12):
        odds, feels = rng.normal(0, 1.2), rng.uniform(0.3, 1.7)
        for kind in KINDS:
            for step_mm in STEPS_MM:
                moved = odds + feels * per_mm[kind] * step_mm * rng.choice((-1, 1))
                scores.append(
                    PerturbedScore(
                        case=f"P{case:02d}",
                        kind=kind,
                        nominal_mm=step_mm,
                        unperturbed_dls=float(sigmoid(odds)),
                        dls=float(sigmoid(moved)),
                        moved_mm=step_mm if kind == "shifted" else 0.0,
                        volume_ratio=1.0,
                    )
                )
    return cohort_robustness(scores, {}, CUTOFF, {f"P{case:02d}": f"P{case:02d}" for case in range(12)})


@styled
def planes() -> Figure:
    """A phantom patient as the networks are shown it: [sequence, plane] with the outline of the ROI."""
    intensity = {
        name: IntensityPlan(scheme="zscore", clip_percentiles=(0.5, 99.5)) for name in ("T1WI", "T2WI", "CE-T1WI")
    }
    plan = PreprocessingPlan(
        roi_channel="CE-T1WI",
        registration="none",
        spacing_mm=1.0,
        crop_mm=_CROP_MM,
        slice_size_px=_SIZE_PX,
        input_size_px=_SIZE_PX,
        intensity=intensity,
    )
    with TemporaryDirectory() as place:
        write_cohort(Path(place), PhantomSettings(cases=1, seed=5))
        images = {name: Path(place, "imagesTr", f"PH0001_{at:04d}.nii.gz") for at, name in enumerate(intensity)}
        sample = preprocess_case(images, Path(place, "labelsTr", "PH0001.nii.gz"), plan, case="PH0001")
    return _planes_figure(list(intensity), sample)


def _planes_figure(names: list[str], sample: Sample) -> Figure:
    figure = new_figure(130.0, 138.0)
    grid = figure.subplots(
        3, 3, gridspec_kw={"left": 0.06, "right": 0.99, "top": 0.95, "bottom": 0.01, "wspace": 0.04, "hspace": 0.04}
    )
    for row, name, pixels in zip(grid, names, sample.pixels, strict=True):
        for axes, plane, image, roi in zip(row, sample.planes, pixels, sample.roi, strict=True):
            draw_plane(axes, plane, image, roi)
            if name == names[0]:
                axes.set_title(plane.name, loc="center")
        row[0].set_ylabel(name)
    return figure
