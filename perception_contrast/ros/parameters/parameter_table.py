"""The parameters of perception_node: names, defaults, descriptions, ranges, and when they may change."""

from __future__ import annotations

from perception_contrast.encoders.dense.method_names import METHODS
from perception_contrast.engines.engine_names import AUTO, KINDS, PRECISIONS
from perception_contrast.pipeline.pipeline_settings import AUTO_TILE
from perception_contrast.ros.parameters.common_parameters import (
    AUTOSTART,
    BOND_HEARTBEAT_PERIOD,
    IMAGE_TRANSPORT,
    RELIABILITY,
)
from perception_contrast.ros.parameters.parameter_spec import ParameterSpec
from perception_contrast.vocabulary.vocabulary_store import AFTER_CRASH, RESTORE_CHOICES

ALL_OUTPUTS = "all"
# Outputs by the names that `outputs` and diagnostics use; pca is ~/features/image.
OUTPUTS = (
    "features",
    "semantic_features",
    "embedding",
    "masks",
    "detections",
    "overlay",
    "pca",
    "instances",
    "region_features",
    "detections_3d",
)

SPECS = (
    ParameterSpec(
        "model", "dinov2-s14", "Image encoder; `perception-contrast models list` names them.", change="reload"
    ),
    ParameterSpec(
        "language_model",
        "household-lit",
        "Model that compares text with image features; none disables text queries (exemplars still work).",
        change="reload",
    ),
    ParameterSpec(
        "dense",
        "auto",
        "How dense image features for text come about; auto: proxyclip if `model` is a DINO, else naclip.",
        choices=(AUTO, *METHODS),
        change="reload",
    ),
    ParameterSpec("device", "auto", "auto, cpu, cuda or cuda:N.", change="reload"),
    ParameterSpec(
        "engine",
        "auto",
        "Inference engine; auto measures them once on this machine and keeps the fastest accurate one.",
        choices=(AUTO, *KINDS),
        change="reload",
    ),
    ParameterSpec(
        "precision",
        "auto",
        "Number format of matrix products; auto is the fastest one that keeps features accurate.",
        choices=(AUTO, *PRECISIONS),
        change="reload",
    ),
    ParameterSpec(
        "proposals",
        "",
        "Proposals that refine masks: the name given to `models add NAME ... --like sam`; or empty.",
        change="reload",
    ),
    ParameterSpec(
        "heads",
        ("",),
        "Trained heads of `train head`, whose classes are reported beside the queries: names given to "
        "`models add NAME RUN --like head`, or paths. Empty strings are ignored.",
        change="reload",
    ),
    ParameterSpec(
        "place",
        "",
        "Name of the place, whose level of detection is loaded and stored; empty for none.",
        change="reload",
    ),
    ParameterSpec(
        "self_calibration",
        0,
        "Number of frames by which the node measures the level of the place; 0 measures nothing.",
        0,
        10000,
        change="reload",
    ),
    ParameterSpec("offline", False, "Never use the network; weights must be in the cache.", change="reload"),
    ParameterSpec(
        "model_paths",
        True,
        "Allow `model`, `language_model` and `heads` to be set to paths while the node runs.",
        change="never",
    ),
    IMAGE_TRANSPORT,
    RELIABILITY,
    ParameterSpec("use_depth", False, "Also subscribe to `depth` and its calibration.", change="never"),
    ParameterSpec(
        "cameras",
        ("",),
        "Names of several cameras: each subscribes to NAME/image and publishes ~/NAME/detections and so on. "
        "Empty: one camera without a name.",
        change="never",
    ),
    ParameterSpec(
        "sync_slop",
        0.017,
        "Largest difference in seconds between the stamps of an image and its depth or camera_info.",
        0.0,
        1.0,
    ),
    ParameterSpec(
        "sync_patience",
        0.05,
        "Longest time in seconds that an image waits for its depth and camera_info.",
        0.0,
        1.0,
    ),
    AUTOSTART,
    BOND_HEARTBEAT_PERIOD,
    ParameterSpec(
        "release_on_deactivate",
        False,
        "Free the models' memory while the node is inactive; activating loads them again.",
    ),
    ParameterSpec(
        "restore_vocabulary",
        AFTER_CRASH,
        "When a start restores the last vocabulary: after the node was killed, always, or never.",
        choices=RESTORE_CHOICES,
        change="never",
    ),
    ParameterSpec(
        "vocabulary",
        "",
        "Name of a vocabulary file; `perception-contrast vocab list` names them; empty for none.",
    ),
    ParameterSpec(
        "queries",
        ("",),
        "Further queries: 'label' or 'label: phrase; phrase; !negative'. Empty strings are ignored.",
    ),
    ParameterSpec("distractors", ("",), "Labels that compete with the queries and are never published."),
    ParameterSpec(
        "mask_threshold",
        0.0,
        "Lowest probability of a pixel in a mask; 0 takes the model's own threshold.",
        0.0,
        1.0,
    ),
    ParameterSpec(
        "detection_threshold",
        0.0,
        "Lowest probability of a detection; 0 takes the model's own threshold.",
        0.0,
        1.0,
    ),
    ParameterSpec("short_side", 378, "Short side in pixels of the encoder's input image.", 56, 2048),
    ParameterSpec(
        "max_tokens",
        2048,
        "Largest number of patches of the input image; larger images are scaled down.",
        16,
        65536,
    ),
    ParameterSpec(
        "tile",
        AUTO_TILE,
        "Side in pixels of the tiles that the input image is encoded in; 0 encodes it as a whole, -1 "
        "tiles it where it is much larger than an image-text model was trained for.",
        AUTO_TILE,
        2048,
    ),
    ParameterSpec("tile_overlap", 0.25, "Overlap of neighbouring tiles, as a share of their side.", 0.0, 0.5),
    ParameterSpec(
        "max_detections",
        100,
        "Largest number of detections of a frame; the most probable ones are kept.",
        1,
        1000,
    ),
    ParameterSpec(
        "tracking", True, "Track detections, with ids that last through occlusion and camera motion."
    ),
    ParameterSpec("split", True, "Split regions of several objects of one label into single objects."),
    ParameterSpec(
        "zoom",
        32,
        "Largest number of enlarged crops that rescore detections; 0 for none. For household-lit.",
        0,
        256,
    ),
    ParameterSpec(
        "zoom_budget_ms",
        -1.0,
        "Most milliseconds of a frame for crops that rescore detections; 0 for no limit, -1 for as long as "
        "the image encoders take.",
        -1.0,
        10000.0,
    ),
    ParameterSpec(
        "refine_masks_most",
        20,
        "Largest number of detections of a frame whose masks `proposals` refines.",
        0,
        100,
    ),
    ParameterSpec("track_seconds", 2.0, "Seconds that a track without a detection is kept.", 0.1, 60.0),
    ParameterSpec("feature_dtype", "float16", "dtype of FeatureMap values.", choices=("float16", "float32")),
    ParameterSpec("max_depth", 10.0, "Largest depth in metres that ~/detections_3d is made of.", 0.2, 1000.0),
    ParameterSpec("overlay_scores", False, "Write probabilities behind the labels in ~/overlay."),
    ParameterSpec("overlay_quality", 80, "JPEG quality of ~/overlay/compressed.", 1, 100),
    ParameterSpec(
        "outputs",
        (ALL_OUTPUTS,),
        "Outputs that may be computed if they have subscribers: all, or some of " + ", ".join(OUTPUTS) + ".",
    ),
    ParameterSpec(
        "target_rate",
        0.0,
        "Rate in frames a second that is held for each camera: by less rescoring, then smaller images, then "
        "fewer drawings; 0 switches this off.",
        0.0,
        1000.0,
    ),
    ParameterSpec(
        "max_rate",
        0.0,
        "Largest number of frames a second that are processed of a camera; 0 for no limit.",
        0.0,
        1000.0,
    ),
    ParameterSpec(
        "camera_max_rates",
        (0.0,),
        "max_rate of each camera, in the order of `cameras`, or one for all; 0 takes max_rate.",
        0.0,
        1000.0,
    ),
    ParameterSpec(
        "camera_weights",
        (1.0,),
        "Shares of processing time under overload, one for each camera or one for all.",
        0.001,
        1000.0,
    ),
    ParameterSpec(
        "max_batch", 0, "Largest number of frames, one of each camera, in a batch; 0 for all cameras.", 0, 64
    ),
    ParameterSpec(
        "expected_rates",
        (0.0,),
        "Expected frames a second, one for each camera or one for all, for diagnostics; 0: not known.",
        0.0,
        1000.0,
    ),
)
