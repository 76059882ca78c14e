"""Rules for the network: which encoder, what it is given, and what the fusion takes of it."""

from autodls.planning.decision import Decision, Situation
from autodls.planning.encoder_cost import feature_channels
from autodls.records.encoders import encoder_stride_px

PAPER_DIMS = 128
MOST_TOKENS_A_SIDE = 8  # of a feature map; the paper's 224 px give 7


def encoder(situation: Situation) -> Decision:
    """The paper's where there are weights to start from, a small one where there are none."""
    if situation["network.encoder_weights"] == "random":
        return Decision(
            "resnet8",
            "Random weights: 78 thousand of them are learnt from tens to hundreds of cases; of larger networks a "
            "ResNet-18 was worse on phantoms, and a ResNet-101 found nothing on gliomas (benchmarks/RESULTS.md).",
        )
    return Decision("resnet101", "As in the paper.")


def roi_guided(situation: Situation) -> Decision:
    """Where nothing was learnt elsewhere from images without an ROI."""
    if situation["network.encoder_weights"] == "random":
        return Decision(
            True,
            "Each plane is a picture of its own with the ROI in it, and features are averaged inside the ROI as well: "
            "a network without weights to start from sees three times the pictures, and need not learn first where "
            "the tumour is.",
        )
    return Decision(False, "Weights that were trained on images alone have no input for an ROI.")


def patch_px(situation: Situation) -> Decision:
    """One cell of the feature map, more where there are many."""
    stride = encoder_stride_px(situation["network.encoder"])
    cells = -(-situation["preprocessing.input_size_px"] // stride)
    patch = -(-cells // MOST_TOKENS_A_SIDE)
    if patch == 1:
        return Decision(1, "Every place of the last feature map is a token; the paper gives no size.")
    return Decision(
        patch,
        f"The last feature map has {cells} x {cells} cells; patches of {patch} x {patch} make {cells // patch} x "
        f"{cells // patch} tokens of them, where the paper has 7 x 7 cells.",
    )


def pca_dims(situation: Situation) -> Decision:
    """Fewer than the patients it is fitted on, a multiple of the heads; a token has the paper's width at most."""
    heads, patients = situation["network.fusion.heads"], situation.inner_training_patients
    patch = situation["network.fusion.patch_px"]
    channels = feature_channels(situation["network.encoder"], roi_guided=situation["network.roi_guided"])
    most = min(PAPER_DIMS // patch**2, channels)
    dims = max(heads, min(most, patients - 1) // heads * heads)
    if dims >= patients:
        return Decision(dims, f"The fewest that {heads} attention heads can share. {too_many_dims(patients)}")
    bound = f"the paper's {PAPER_DIMS}"
    if most < PAPER_DIMS:
        bound = f"{most} (of {channels} channels, and so that a patch of {patch} x {patch} holds {PAPER_DIMS} numbers)"
    return Decision(
        dims,
        f"At most {bound}, fewer than the {patients} patients that the PCA is fitted on, and a multiple of "
        f"{heads} attention heads.",
    )


def too_many_dims(patients: int) -> str:
    """What is to be said of principal components that are no fewer than the patients they are fitted on."""
    return (
        f"That is no fewer than the {patients} patients that the PCA is fitted on: the last components tell places "
        f"within patients apart, hardly patients."
    )
