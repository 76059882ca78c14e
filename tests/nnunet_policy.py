"""What nnU-Net's policy draws for images of one size; shared by the tests of the draws and of what they do."""

import numpy as np

from autodls.training.nnunet_augmentation import draw_nnunet

SIDES, SIZE_PX = (44, 50), 32


def drawn(cases=200, channels=3, size_px=SIZE_PX, sides=SIDES, seed=0):
    """The parameters of so many cases."""
    return draw_nnunet((cases, channels, *sides), size_px, np.random.default_rng(seed))
