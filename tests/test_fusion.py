"""PCA over channels and the transformer over sequences."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from tiny_study import study_plan

from autodls.models.fusion import FusionTransformer
from autodls.models.network import FoldLogits, class_logit
from autodls.models.pca import ChannelPCA
from autodls.records.plan import FusionPlan
from autodls.records.scores import FUSED
from autodls.training.bags import Bags
from autodls.training.fusion_stage import FusionTask, _views
from autodls.training.principal import fit_pca
from autodls.training.settling import fit_scales

QUICK = hypothesis_settings(deadline=None, max_examples=10)
PLAN = FusionPlan(patch_px=1, heads=4, layers=2, dropout=0.3)
SEQUENCES, CHANNELS, SIDE = 3, 8, 4


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


def feature_maps(cases=6, channels=5, side=3, seed=0):
    """Correlated channels, so that components differ in what they explain."""
    mixing = torch.randn(channels, channels, generator=draw(seed))
    return torch.einsum("kc,nchw->nkhw", mixing, torch.randn(cases, channels, side, side, generator=draw(seed + 1)))


def as_pixels(maps):
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1]).numpy()


def fusion(plan=PLAN, seed=0):
    """A fusion in evaluation whose weights are large enough that everything shows in the logits."""
    model = FusionTransformer(SEQUENCES, CHANNELS, SIDE, **plan.model_dump(exclude={"fallback"}))
    model.start_from_random(draw(seed))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(8)
    return model.eval()


def projected(cases=2, seed=0):
    return torch.randn(cases, SEQUENCES, CHANNELS, SIDE, SIDE, generator=draw(seed))


# -- PCA ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cases", "channels", "side"), [(6, 5, 3), (3, 40, 2), (30, 20, 1)])
def test_pca_equals_scikit_learn(cases, channels, side):
    maps = feature_maps(cases, channels, side)
    found = fit_pca(maps, torch.ones(cases, dtype=torch.bool), 4)
    expected = PCA(4).fit(as_pixels(maps).astype(float))
    projection = as_pixels(found.project(maps)) * float(found.scale)
    np.testing.assert_allclose(np.abs(projection), np.abs(expected.transform(as_pixels(maps))), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found.mean, expected.mean_, rtol=1e-4, atol=1e-5)
    assert float(found.scale) == pytest.approx(expected.explained_variance_[0] ** 0.5, rel=1e-4)
    np.testing.assert_allclose(found.components, expected.components_, atol=1e-4)  # and the signs


def test_pca_brings_the_first_component_to_order_one():
    maps = 1000 * feature_maps(20)
    first = fit_pca(maps, torch.ones(20, dtype=torch.bool), 3).project(maps)[:, 0]
    assert float(first.std()) == pytest.approx(1, rel=1e-3)
    assert float(first.mean()) == pytest.approx(0, abs=1e-4)


def test_pca_sees_present_cases_only():
    maps, present = feature_maps(8), torch.tensor([True, False, True, True, False, True, True, True])
    found = fit_pca(maps, present, 3)
    alone = fit_pca(maps[present], torch.ones(6, dtype=torch.bool), 3)
    maps[~present] = torch.nan
    again = fit_pca(maps, present, 3)
    for other in (alone, again):
        assert torch.equal(found.mean, other.mean)
        assert torch.equal(found.components, other.components)
        assert torch.equal(found.scale, other.scale)


@pytest.mark.parametrize(("cases", "channels", "side", "kept"), [(3, 10, 1, 2), (2, 10, 1, 1), (9, 4, 2, 4)])
def test_dimensions_beyond_the_data_are_zeros(cases, channels, side, kept):
    maps = feature_maps(cases, channels, side)
    found = fit_pca(maps, torch.ones(cases, dtype=torch.bool), 6)
    assert found.components.shape == (6, channels)
    assert (found.components[:kept].norm(dim=1) > 0.99).all()
    assert (found.components[kept:] == 0).all()
    assert torch.isfinite(found.project(maps)).all()


def test_pca_of_equal_cases_is_finite():
    found = fit_pca(torch.ones(4, 6, 2, 2), torch.ones(4, dtype=torch.bool), 3)
    assert torch.isfinite(found.project(torch.ones(4, 6, 2, 2))).all()


def test_projection_is_that_of_every_place_for_itself():
    maps = feature_maps(2, 5, 3)
    pca = fit_pca(feature_maps(9, seed=4), torch.ones(9, dtype=torch.bool), 3)
    place = pca.components @ (maps[1, :, 2, 0] - pca.mean) / pca.scale
    torch.testing.assert_close(pca.project(maps)[1, :, 2, 0], place)
    assert isinstance(pca.to(torch.device("cpu")), ChannelPCA)


# -- transformer -------------------------------------------------------------------------------------------------------


@QUICK
@given(st.integers(0, SEQUENCES - 1), st.floats(-1e3, 1e3, width=32))
def test_missing_sequence_has_no_say_whatever_its_pixels(missing, value):
    model, maps, present = fusion(), projected(), torch.ones(2, SEQUENCES, dtype=torch.bool)
    present[:, missing] = False
    changed = maps.clone()
    changed[:, missing] = value
    with torch.inference_mode():
        assert torch.equal(model(maps, present), model(changed, present))


def test_missing_sequence_of_pixels_that_are_not_finite_has_no_say():
    model, maps, present = fusion(), projected(), torch.tensor([[True, False, True], [True, True, True]])
    maps[0, 1] = torch.nan
    assert torch.isfinite(model(maps, present)).all()


def test_missing_sequence_is_replaced_by_its_own_learned_vector():
    model, maps = fusion(), projected()
    present = torch.tensor([[True, False, True], [True, False, True]])
    filled = maps.clone()
    filled[:, 1] = model.missing[1][:, None, None].detach()
    torch.testing.assert_close(model(maps, present), model(filled, torch.ones_like(present)))
    model(maps, present)[:, 1].sum().backward()
    learns = model.missing.grad.abs().sum(dim=1) > 0
    assert learns.tolist() == [False, True, False]


def test_every_sequence_and_every_place_has_a_say():
    model, maps, present = fusion(), projected(1), torch.ones(1, SEQUENCES, dtype=torch.bool)
    maps.requires_grad_()
    class_logit(model(maps, present)).sum().backward()
    assert (maps.grad.abs().sum(dim=2) > 0).all()


def test_position_of_a_token_matters():
    model, maps, present = fusion(), projected(), torch.ones(2, SEQUENCES, dtype=torch.bool)
    turned = maps.flip(-1)
    with torch.inference_mode():
        assert not torch.allclose(model(maps, present), model(turned, present), atol=1e-3)
        model.position.zero_()
        torch.testing.assert_close(model(maps, present), model(turned, present), rtol=1e-3, atol=1e-4)


def test_cases_do_not_look_at_each_other():
    model, maps, present = fusion(), projected(5), torch.ones(5, SEQUENCES, dtype=torch.bool)
    with torch.inference_mode():
        torch.testing.assert_close(model(maps, present)[3:4], model(maps[3:4], present[3:4]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("patch_px", "tokens"), [(1, 16), (2, 4), (3, 1), (4, 1), (9, 1)])
def test_patches_of_any_side_cover_the_map(patch_px, tokens):
    model = fusion(PLAN.model_copy(update={"patch_px": patch_px}))
    assert model.position.shape == (tokens, SEQUENCES * CHANNELS * min(patch_px, SIDE) ** 2)
    assert model(projected(), torch.ones(2, SEQUENCES, dtype=torch.bool)).shape == (2, 2)


def test_paper_gives_49_tokens_of_width_384():
    model = FusionTransformer(3, 128, 7, patch_px=1, heads=8, layers=3, dropout=0.1)
    assert model.position.shape == (49, 384)
    assert len(model.encoder.layers) == 3
    assert model.encoder.layers[0].self_attn.head_dim == 48


def test_start_depends_on_the_generator_alone():
    first, second, other = fusion(seed=1), fusion(seed=1), fusion(seed=2)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.position, other.position)


# -- training batches --------------------------------------------------------------------------------------------------


def task_of(present, sequence_dropout=0.9, views=3):
    """Maps whose numbers name view and case."""
    cases = len(present)
    maps = torch.zeros(views, cases, SEQUENCES, 1, 1, 1)
    maps += (
        10_000 * torch.arange(views)[:, None, None, None, None, None] + torch.arange(cases)[:, None, None, None, None]
    )
    plan = study_plan(sequence_dropout=sequence_dropout, batch_size=4)
    labels = torch.arange(cases) % 2
    bags = Bags.of_rows(torch.arange(len(labels)))
    return FusionTask(torch.nn.Identity(), maps, present, labels, maps[0], present, labels, plan, bags, bags)


def shown(task, seed):
    """Maps, presence and labels of all batches of an epoch."""
    return [
        torch.cat(parts) for parts in zip(*((*inputs, labels) for inputs, labels in task.batches(seed)), strict=True)
    ]


@QUICK
@given(
    st.lists(st.lists(st.booleans(), min_size=3, max_size=3).filter(any), min_size=2, max_size=12),
    st.integers(0, 2**62),
)
def test_no_case_is_trained_on_without_any_sequence_or_with_one_it_lacks(rows, seed):
    present = torch.tensor(rows)
    task = task_of(present)
    maps, kept, labels = shown(task, seed)
    cases = maps[:, 0, 0, 0, 0].long() % 10_000
    assert set(cases.tolist()) == set(range(len(rows)))
    assert torch.equal(labels, task.labels[cases])
    assert kept.any(dim=1).all()
    assert not (kept & ~present[cases]).any()


def test_sequences_are_left_out_at_the_rate_of_the_plan_and_all_views_are_shown():
    task = task_of(torch.ones(2000, SEQUENCES, dtype=torch.bool), sequence_dropout=0.2)
    maps, kept, _ = shown(task, 0)
    assert float(kept.float().mean()) == pytest.approx(0.8 + 0.2**3, abs=0.02)
    shares = torch.bincount(maps[:, 0, 0, 0, 0].long() // 10_000) / 2000
    assert shares.tolist() == pytest.approx([1 / 3] * 3, abs=0.04)


def test_batches_are_replayed_by_their_seed():
    task = task_of(torch.ones(20, SEQUENCES, dtype=torch.bool), 0.5)
    first, again, other = (shown(task, seed) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_first_view_is_the_centre_and_sequences_of_a_case_move_together():
    plan = study_plan()
    plane = torch.arange(40 * 40.0).reshape(40, 40)
    views = list(_views(plane.expand(5, 3, 40, 40), plan, seed=0))
    assert {tuple(view.shape) for view in views} == {(5, 3, 32, 32)}
    assert torch.equal(views[0][0, 0], plane[4:36, 4:36])
    of_another = _views(1000 + plane.expand(5, 1, 40, 40), plan, seed=0)
    assert all(torch.equal(1000 + view[:, :1], other) for view, other in zip(views, of_another, strict=True))
    assert len({float(corner) for view in views[1:] for corner in view[:, 0, 0, 0]}) > 5


def test_scales_are_fitted_per_row_on_cases_that_have_it():
    chance = np.random.default_rng(0)
    labels = torch.from_numpy(chance.random(400) < 0.5).long()
    good = torch.from_numpy(chance.normal(4.0 * labels.numpy() - 2))
    holes = torch.where(torch.arange(400) % 2 == 0, good, torch.nan)
    scales = fit_scales(FoldLogits(good, {"T1WI": holes, "T2WI": torch.full((400,), torch.nan)}), labels)
    assert set(scales) == {FUSED, "T1WI", "T2WI"}
    assert scales["T1WI"] == fit_scales(FoldLogits(good[::2], {}), labels[::2])[FUSED]
    assert (scales["T2WI"].slope, scales["T2WI"].intercept) == (1.0, 0.0)  # nothing known: left as it is
