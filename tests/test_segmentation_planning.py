"""How nnU-Net is made to plan: coarse images for a CPU, normalisation by our plan, its own planners on a GPU."""

import json

import numpy as np
import pytest
import torch
from tiny_models import tiny_plan

from autodls.records.preprocessing_plan import IntensityPlan
from autodls.segmentation.environment import nnunet
from autodls.segmentation.run import throw_away
from autodls.segmentation.segmenter import mirror_axes_of
from autodls.segmentation.stage import prepare_cohort
from autodls.segmentation.weights import save_weights

pytestmark = pytest.mark.long


@pytest.fixture(autouse=True)
def with_nnunet():
    pytest.importorskip("nnunetv2", reason="nnU-Net is not installed")


def small_planner(spacing_mm, shape):
    """As after `__init__`, which reads a dataset from disk; axes z, y, x."""
    from autodls.segmentation.planning import SmallPlanner

    planner = SmallPlanner.__new__(SmallPlanner)
    planner.dataset_fingerprint = {"spacings": [spacing_mm] * 3, "shapes_after_crop": [shape] * 3}
    planner.anisotropy_threshold, planner.overwrite_target_spacing = 3, None
    return planner


@pytest.mark.parametrize(
    ("spacing_mm", "shape"), [((5.0, 0.5, 0.5), (30, 512, 512)), ((1.0, 1.0, 1.0), (180, 256, 256))]
)
def test_small_images_are_coarsened_along_the_finest_axes(spacing_mm, shape):
    from autodls.segmentation.planning import SMALL_IMAGE_VOXELS

    found = small_planner(spacing_mm, shape).determine_fullres_target_spacing()
    voxels = np.prod(np.multiply(spacing_mm, shape) / found)
    assert 0.9 * SMALL_IMAGE_VOXELS < voxels <= SMALL_IMAGE_VOXELS
    assert found[0] >= found[1] == found[2] > spacing_mm[1]
    assert found[0] == max(spacing_mm[0], found[1])


def test_a_worker_that_is_killed_is_one_line(monkeypatch):
    from autodls.errors import AutoDLSError
    from autodls.segmentation.planning import NnunetFingerprint, fingerprint_extractor

    def run(_self, _overwrite):
        with fingerprint_extractor.multiprocessing.get_context("spawn").Pool(1) as pool:
            assert pool.apply(abs, (-1,)) == 1
        raise RuntimeError("Some background worker is 6 feet under. Yuck. \nOK jokes aside.\n")

    monkeypatch.setattr(NnunetFingerprint.__mro__[1], "run", run)
    planner = NnunetFingerprint.__new__(NnunetFingerprint)
    planner.num_processes = 2
    with pytest.raises(AutoDLSError, match=r"one of 2 worker .*6 feet under.*run with fewer workers") as raised:
        planner.run(True)
    assert "\n" not in str(raised.value)
    assert fingerprint_extractor.multiprocessing.__name__ == "multiprocessing"


def test_images_that_are_small_already_keep_their_spacing():
    found = small_planner((4.5, 3.0, 3.0), (24, 48, 48)).determine_fullres_target_spacing()
    assert found.tolist() == [4.5, 3.0, 3.0]


def test_every_planner_of_the_plan_is_there():
    from typing import get_args

    from autodls.records.segmentation_plan import SegmentationPlan
    from autodls.segmentation.planning import PLANNERS

    assert set(PLANNERS) == set(get_args(SegmentationPlan.model_fields["planner"].annotation))


def test_normalisation_is_that_of_the_plan_and_not_of_the_channel_s_name():
    from autodls.segmentation.planning import describe

    plan = tiny_plan(("noNorm", "CT"))
    assert list(describe(plan, 5)["channel_names"].values()) == ["zscore", "zscore"]
    window = IntensityPlan(scheme="window", window_hu=(-100.0, 200.0))
    content = plan.preprocessing.model_copy(update={"intensity": {"PT": window, "CT": window}})
    assert describe(plan.model_copy(update={"preprocessing": content}), 5)["channel_names"] == {"0": "CT", "1": "CT"}


def test_network_is_small_and_its_batch_does_not_grow(segmented_study):
    from autodls.segmentation.planning import SMALL_BATCH

    plans = json.loads(segmented_study.workspace.segmentation.segmenter.plans.read_text())["configurations"]
    for name, axes in (("2d", 2), ("3d_fullres", 3)):
        assert plans[name]["architecture"]["arch_kwargs"]["features_per_stage"][0] == 8
        assert plans[name]["batch_size"] <= SMALL_BATCH[axes]


def test_no_pickle_is_written(segmented_study):
    written = {path.suffix for path in segmented_study.root.rglob("*") if path.is_file()}
    assert written and not written & {".pkl", ".pth", ".pt", ".npz"}


@pytest.fixture(scope="module", params=["default", "resenc_m"])
def for_a_gpu(request, segmented_study, tmp_path_factory):
    """The study planned as on a GPU, 3D and with few features, with a network of random weights."""
    from autodls.segmentation import planning

    class FewFeatures(planning.PLANNERS[request.param]):
        def __init__(self, dataset):
            super().__init__(dataset)
            self.UNet_base_num_features = 4

    study = segmented_study.copy(tmp_path_factory.mktemp("gpu") / "workspace")
    run = study.run(planner=request.param, configuration="3d_fullres")
    throw_away(run, [0, 1])
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setitem(planning.PLANNERS, request.param, FewFeatures)
        prepare_cohort(run, lambda _case: None)
    folder = run.workspace.segmentation
    with nnunet(folder):
        from autodls.segmentation.architecture import build_network
        from autodls.segmentation.prepared import read_plans

        configuration = read_plans(folder.segmenter, "3d_fullres")[0].get_configuration("3d_fullres")
        network = build_network(configuration, 2, folder.segmenter.plans).to_empty(device="cpu")
    chance = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, 0, 0.2, generator=chance)
    save_weights(folder.segmenter.fold(0), network, {})
    return request.param, run, type(network).__name__


def test_planners_for_a_gpu_build_the_network_of_their_name(for_a_gpu):
    planner, _, network = for_a_gpu
    assert network == {"default": "PlainConvUNet", "resenc_m": "ResidualEncoderUNet"}[planner]


def test_networks_for_a_gpu_average_over_all_mirror_images(for_a_gpu):
    """So the prediction of a mirrored image is the mirrored prediction; of a network with random weights it is not."""
    _, run, _ = for_a_gpu
    axes = mirror_axes_of(run.plan.segmentation)
    assert axes == (0, 1, 2)
    image = np.random.default_rng(0).normal(size=(2, 12, 20, 16)).astype(np.float32)
    with nnunet(run.workspace.segmentation):
        from autodls.segmentation.probabilities import ProbabilityMaps

        def foreground(mirrored, over):
            maps = ProbabilityMaps(run.workspace.segmentation.segmenter, "3d_fullres", over, [0], torch.device("cpu"))
            (found,) = maps.of(np.flip(image, 1) if mirrored else image, (3.0, 3.0, 4.5))
            return np.flip(found, 0) if mirrored else found

        plain, mirrored = (foreground(flip, axes) for flip in (False, True))
        alone = [foreground(flip, ()) for flip in (False, True)]
    assert plain.shape == image.shape[1:] and ((plain >= 0) & (plain <= 1)).all()
    np.testing.assert_allclose(plain, mirrored, atol=1e-3)
    assert np.abs(alone[0] - alone[1]).max() > 0.01
