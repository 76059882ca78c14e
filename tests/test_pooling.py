"""What the last linear layer is given: averages inside the ROI, then over the whole crop."""

import pytest
import torch

from autodls.models.pooling import input_channels, map_of_case, pictures_of, pool
from autodls.records.network_shape import PLANE_COUNT

CHANNELS, SIDE = 5, 8


def features(seed=0, cases=2):
    shape = (cases, PLANE_COUNT * CHANNELS, SIDE, SIDE)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def inputs_of(roi):
    """Network input with `roi` [plane, H, W] in both cases; pooling does not look at the planes."""
    return torch.cat([torch.zeros(2, *roi.shape), roi.expand(2, *roi.shape)], dim=1)


def square(stride_px, rows=slice(2, 4), columns=slice(1, 4)):
    """Tumour in all planes around the cells of `rows` and `columns`, and nowhere near others."""
    roi = torch.zeros(PLANE_COUNT, SIDE * stride_px, SIDE * stride_px)
    roi[:, rows.start * stride_px : (rows.stop - 1) * stride_px + 1,
        columns.start * stride_px : (columns.stop - 1) * stride_px + 1] = 1  # fmt: skip
    return roi


def whole(maps):
    """The mean of every channel over places and planes."""
    return maps.reshape(2, PLANE_COUNT, CHANNELS, -1).mean(dim=(1, 3))


@pytest.mark.parametrize("stride_px", [8, 32])
def test_background_has_no_say_inside_the_roi_and_its_say_in_the_whole(stride_px):
    maps, inputs = features(), inputs_of(square(stride_px))
    changed = maps.clone()
    changed[:, :, 5:] = 1e4
    before, after = pool(maps, inputs, stride_px), pool(changed, inputs, stride_px)
    assert torch.equal(after[:, :CHANNELS], before[:, :CHANNELS])
    torch.testing.assert_close(after[:, CHANNELS:], whole(changed))
    changed[:, :, 2] += 1
    assert not torch.allclose(pool(changed, inputs, stride_px)[:, :CHANNELS], before[:, :CHANNELS], atol=0.1)


@pytest.mark.parametrize("stride_px", [8, 32])
@pytest.mark.parametrize("cell", [(0, 0), (3, 5), (7, 7)])
def test_a_roi_at_the_centre_of_one_cell_weighs_that_cell(stride_px, cell):
    """Cell (i, j) is centred on input pixel (stride i, stride j)."""
    maps, roi = features(), torch.zeros(PLANE_COUNT, SIDE * stride_px, SIDE * stride_px)
    row, column = (stride_px * place for place in cell)
    roi[:, max(0, row - 3) : row + 4, max(0, column - 3) : column + 4] = 1
    found = pool(maps, inputs_of(roi), stride_px)[:, :CHANNELS]
    expected = maps[:, :, cell[0], cell[1]].reshape(2, PLANE_COUNT, CHANNELS).mean(dim=1)
    torch.testing.assert_close(found, expected)


def test_a_cell_weighs_as_much_as_there_is_tumour_around_it():
    roi = torch.zeros(PLANE_COUNT, 8 * SIDE, 8 * SIDE)
    roi[:, 20:29, 20:29] = 1  # all 9 x 9 pixels around cell (3, 3)
    roi[:, 36:39, 44:53] = 1  # a third of those around cell (5, 6), and none around another
    roi[:, 28:29, 20:29] = 0  # the row that cell (4, 3) sees too
    roi[:, :, 20:21], roi[:, :, 28:29] = 0, 0  # and the columns of its neighbours
    roi[:, :, 44:45], roi[:, :, 52:53] = 0, 0
    roi[:, 20:21], roi[:, 36:37] = 0, 0
    maps = features()
    weights = {(3, 3): 7 * 7, (5, 6): 2 * 7}
    by_plane = maps.reshape(2, PLANE_COUNT, CHANNELS, SIDE, SIDE)
    expected = sum(weight * by_plane[..., i, j] for (i, j), weight in weights.items()) / sum(weights.values())
    torch.testing.assert_close(pool(maps, inputs_of(roi), 8)[:, :CHANNELS], expected.mean(dim=1))


def test_without_tumour_all_places_weigh_alike():
    maps = features()
    found = pool(maps, inputs_of(torch.zeros(PLANE_COUNT, 64, 64)), 8)
    torch.testing.assert_close(found, whole(maps).repeat(1, 2))


def test_a_plane_without_tumour_is_averaged_as_a_whole_and_counts_like_the_others():
    maps, roi = features(), square(8)
    roi[1] = 0
    by_plane = maps.reshape(2, PLANE_COUNT, CHANNELS, SIDE, SIDE).clone()
    by_plane[:, 1] = by_plane[:, 1].mean(dim=(2, 3), keepdim=True)  # so that it does not matter where it is averaged
    found, expected = pool(maps, inputs_of(roi), 8), pool(by_plane.flatten(1, 2), inputs_of(square(8)), 8)
    torch.testing.assert_close(found[:, :CHANNELS], expected[:, :CHANNELS])


def test_planes_count_alike():
    maps, roi = features(), torch.stack([square(8, slice(k, k + 2))[0] for k in range(PLANE_COUNT)])
    turned = maps.reshape(2, PLANE_COUNT, CHANNELS, SIDE, SIDE)[:, [2, 0, 1]].flatten(1, 2)
    torch.testing.assert_close(pool(turned, inputs_of(roi[[2, 0, 1]]), 8), pool(maps, inputs_of(roi), 8))
    assert not torch.allclose(pool(turned, inputs_of(roi), 8), pool(maps, inputs_of(roi), 8), atol=1e-3)


def test_without_roi_features_are_averaged_over_the_crop():
    maps = features()
    torch.testing.assert_close(pool(maps, torch.zeros(2, PLANE_COUNT, 64, 64), 8), maps.mean(dim=(2, 3)))


def test_pictures_are_planes_with_their_rois_and_maps_come_back_in_order():
    inputs = torch.randn(2, input_channels(roi_guided=True), 16, 16)
    pictures = pictures_of(inputs)
    assert pictures.shape == (6, 2, 16, 16)
    for case in range(2):
        for plane in range(PLANE_COUNT):
            assert torch.equal(pictures[PLANE_COUNT * case + plane], inputs[case, [plane, PLANE_COUNT + plane]])
    assert torch.equal(map_of_case(pictures, inputs)[1, 2:4], pictures[4])
    assert torch.equal(pictures_of(inputs[:, :PLANE_COUNT]), inputs[:, :PLANE_COUNT])
