"""Locked models in memory, in milliseconds: encoders of four channels whose feature map is local brightness."""

import numpy as np
import torch

from autodls.inference.model_folder import LockedModel
from autodls.models.folded import FoldedEncoder
from autodls.models.network import FoldModel, new_fusion
from autodls.models.pca import ChannelPCA
from autodls.preprocessing.store import FORMAT
from autodls.records.dataset import Target
from autodls.records.model import ModelRecord
from autodls.records.plan import Budget, Expectation, FusionPlan, NetworkPlan, Plan, TrainingPlan
from autodls.records.preprocessing_plan import IntensityPlan, PreprocessingPlan
from autodls.records.scale import LogisticScale
from autodls.records.scores import FUSED
from autodls.records.segmentation_plan import MaskPolicy, SegmentationPlan

CHANNELS = 4
SEQUENCES = ("T1WI", "CE-T1WI")


def brightness_encoder(gain=1.0, positive=1.0):
    """Cell (i, j) of every channel is the mean brightness of the three planes around input pixel (32 i, 32 j)."""
    gains = gain * torch.linspace(0.5, 1.5, CHANNELS)
    same = torch.eye(CHANNELS)[:, :, None, None]
    none = torch.zeros(CHANNELS)
    convolutions = {"conv1": (gains[:, None, None, None].expand(-1, 3, 7, 7) / 147, none)}
    for stage in (1, 2, 3, 4):
        block = f"layer{stage}.0"
        convolutions[f"{block}.conv1"] = convolutions[f"{block}.conv3"] = (same, none)
        convolutions[f"{block}.conv2"] = (same.expand(-1, -1, 3, 3) / 9, none)
        convolutions[f"{block}.downsample.0"] = (0 * same, none)
    return FoldedEncoder(
        convolutions, (torch.tensor([[0.0], [positive]]).expand(2, CHANNELS), torch.tensor([0.0, 0.3]))
    )


def tiny_policy(**changes):
    """Largest component, no doubt about small masks, with `changes`."""
    policy = {"components": "largest", "lower_threshold": 0.1, "least_confidence": 0.6, "least_volume_mm3": 0.0}
    return MaskPolicy.model_validate({**policy, "most_disagreement": 0.5, **changes})


def tiny_plan(sequences=SEQUENCES, input_size_px=128, slice_size_px=144, channels=CHANNELS, **preprocessing):
    """A plan of 72 mm squares with pixels of 0.5 mm; the feature map has 4 x 4 cells."""
    fields = {"registration": "none", "spacing_mm": 1.0, "crop_mm": 72.0, "roi_channel": sequences[-1], **preprocessing}
    clip = IntensityPlan(scheme="zscore", clip_percentiles=(0.0, 100.0))
    return Plan(
        dataset="tiny",
        preset="auto",
        fingerprint_sha256="",
        preprocessing=PreprocessingPlan(
            input_size_px=input_size_px,
            slice_size_px=slice_size_px,
            intensity=dict.fromkeys(sequences, clip),
            **fields,
        ),
        network=NetworkPlan(
            encoder="resnet50",
            encoder_weights="random",
            pca_dims=channels,
            fusion=FusionPlan(patch_px=1, heads=2, layers=1, dropout=0.1),
        ),
        training=TrainingPlan(
            folds=2, batch_size=2, epochs=1, patience=1, optimizer="sgd", learning_rate=0.01, loss="focal",
            focal_gamma=2.0, focal_alpha=0.5, precision="fp32", seed=0, warmup_epochs=0, batch_norm_momentum=0.1,
            encoder_dropout=0.0, inner_holdout=0.2, augmentation="paper", fusion_epochs=1,
            fusion_learning_rate=0.03, sequence_dropout=0.1, cutoff="class_medians",
        ),
        segmentation=SegmentationPlan(
            planner="small", configuration="3d_fullres", epochs=1, iterations_per_epoch=1, mask=tiny_policy(),
            noninferiority_margin_auc=0.05,
        ),
        budget=Budget(memory_gib=1, predicted_memory_gib=1, device="cpu", predicted_training_minutes=1),
        expectation=Expectation(
            positives=1, negatives=1, rarer_class_per_fold=1, assumed_auc=0.8, auc_ci_half_width=0.1, statement=""
        ),
        reasons={},
    )  # fmt: skip


def tiny_fold(plan, seed=0, encoder=brightness_encoder, feature_channels=CHANNELS, slope=1.0):
    """A fold with a random projection and a random fusion; `encoder` makes the encoder of each sequence."""
    draw = torch.Generator().manual_seed(seed)
    kept = plan.network.pca_dims
    projections = {}
    for name in plan.sequences:
        components = torch.linalg.qr(torch.randn(feature_channels, kept, generator=draw)).Q.T.contiguous()
        projections[name] = ChannelPCA(torch.randn(feature_channels, generator=draw), components, torch.tensor(0.7))
    fusion = new_fusion(plan, kept)
    fusion.start_from_random(draw)
    with torch.no_grad():
        for parameter in fusion.parameters():
            if parameter.ndim > 1:
                parameter.mul_(10)  # so that the fused score depends on the maps beyond rounding
    scales = {row: LogisticScale(slope=slope, intercept=0.1) for row in (FUSED, *plan.sequences)}
    return FoldModel({name: encoder() for name in plan.sequences}, projections, fusion.eval(), scales)


def tiny_model(plan=None, folds=None):
    """A locked model of two folds, which has no folder."""
    plan = plan or tiny_plan()
    folds = folds or [tiny_fold(plan, seed) for seed in (0, 1)]
    record = ModelRecord(
        dataset="tiny", target=Target(name="PD-L1 high", column="cps", positive=">= 20"),
        channel_names={str(index): name for index, name in enumerate(plan.sequences)}, file_ending=".nii.gz",
        roi_channel=plan.preprocessing.roi_channel, roi_labels=(1,), rois="manual", folds=len(folds), training_cases=2,
        training_positives=1, recalibration=LogisticScale(slope=1.0, intercept=0.0), cutoff=0.5, cutoff_source="",
        youden_cutoff=0.5,
        plan_sha256="", fingerprint_sha256="", splits_sha256="", oof_scores_sha256="", sample_format=FORMAT,
        files={}, versions={},
    )  # fmt: skip
    return LockedModel(record, plan, folds, "")


def random_input(plan, cases=2, seed=0):
    """Network input [case, sequence, plane, H, W] and all sequences present."""
    size, sequences = plan.preprocessing.input_size_px, len(plan.sequences)
    pixels = np.random.default_rng(seed).normal(size=(cases, sequences, 3, size, size)).astype(np.float32)
    return torch.from_numpy(pixels), torch.ones(cases, sequences, dtype=torch.bool)
