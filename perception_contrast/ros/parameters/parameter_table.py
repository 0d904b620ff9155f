"""The table of perception_node's parameters: names, defaults, descriptions, ranges, when they may change."""

from __future__ import annotations

from perception_contrast.encoders.dense.method_names import METHODS
from perception_contrast.engines.engine_names import AUTO, KINDS, PRECISIONS
from perception_contrast.ros.node.vocabulary_store import AFTER_CRASH, CHOICES
from perception_contrast.ros.parameters.parameter_spec import Spec

ALL = "all"
# Outputs by the names that `outputs` and diagnostics use; pca is ~/features/image.
TOPICS = ("features", "semantic_features", "embedding", "masks", "detections", "overlay", "pca")

SPECS = (
    Spec("model", "dinov2-s14", "Image encoder, see `perception-contrast models`.", change="reload"),
    Spec(
        "language_model",
        "household-lit",
        "Model that matches words to pixels; none to do without (exemplars still work).",
        change="reload",
    ),
    Spec(
        "dense",
        "auto",
        "Way to the features that words are compared with; auto is proxyclip beside a DINO, else naclip.",
        choices=(AUTO, *METHODS),
        change="reload",
    ),
    Spec("device", "auto", "auto, cpu, cuda or cuda:N.", change="reload"),
    Spec(
        "engine",
        "auto",
        "What the models run on; auto measures once on this machine and remembers the fastest that is exact.",
        choices=(AUTO, *KINDS),
        change="reload",
    ),
    Spec(
        "precision",
        "auto",
        "Of matrix products; auto is whatever is fastest and keeps the features' directions.",
        choices=(AUTO, *PRECISIONS),
        change="reload",
    ),
    Spec(
        "proposals",
        "",
        "Files of the SAM family that draw masks anew, by the name of `models add ... --like sam`; or none.",
        change="reload",
    ),
    Spec("offline", False, "Never use a network; weights must be in the cache.", change="reload"),
    Spec(
        "model_paths",
        True,
        "While the node runs, `model` and `language_model` may be folders of exported models; false: names "
        "alone.",
        change="never",
    ),
    Spec(
        "image_transport",
        "raw",
        "raw reads `image`; compressed reads `image/compressed` (JPEG, PNG).",
        choices=("raw", "compressed"),
        change="never",
    ),
    Spec(
        "reliability",
        "auto",
        "Of camera subscriptions: auto is reliable where every publisher offers that, else best effort.",
        choices=("auto", "reliable", "best_effort"),
        change="never",
    ),
    Spec("use_depth", False, "Also read `depth` and `camera_info`.", change="never"),
    Spec(
        "cameras",
        ("",),
        "Names of cameras, each with topics of its own: reads NAME/image, publishes ~/NAME/detections. "
        "Empty: one, of no name.",
        change="never",
    ),
    Spec(
        "sync_slop",
        0.017,
        "Seconds by which depth and camera_info may differ from an image, where none has its very stamp.",
        0.0,
        1.0,
    ),
    Spec(
        "sync_patience",
        0.05,
        "Seconds that an image waits for depth and camera_info that are still to come.",
        0.0,
        1.0,
    ),
    Spec("autostart", True, "Configure and activate at start.", change="never"),
    Spec(
        "release_on_deactivate",
        False,
        "Let the models and their memory go while inactive; activating then loads them again.",
    ),
    Spec(
        "restore_vocabulary",
        AFTER_CRASH,
        "When a start goes on with what was last looked for: after one that was killed, always or never.",
        choices=CHOICES,
        change="never",
    ),
    Spec(
        "vocabulary",
        "",
        "Name of a vocabulary to look for, see `perception-contrast vocab list`; empty for none.",
    ),
    Spec(
        "queries",
        ("",),
        "What to look for besides: 'label' or 'label: phrase; phrase; !negative'. Empty strings are ignored.",
    ),
    Spec("distractors", ("",), "Things that compete with the queries and are never published."),
    Spec("mask_threshold", 0.0, "Probability that labels a pixel; 0 takes the model's own.", 0.0, 1.0),
    Spec("detection_threshold", 0.0, "Probability of a detection; 0 takes the model's own.", 0.0, 1.0),
    Spec("short_side", 378, "Short side in pixels of the image that the encoder sees.", 56, 2048),
    Spec("max_tokens", 2048, "Most patches of that image; larger images are scaled down.", 16, 65536),
    Spec(
        "tile",
        0,
        "Side in pixels of the windows that the encoders see a larger image through; 0 for all at once.",
        0,
        2048,
    ),
    Spec("tile_overlap", 0.25, "Share of a window that the next one sees too.", 0.0, 0.5),
    Spec("max_detections", 100, "Most detections of one frame, best first.", 1, 1000),
    Spec("tracking", True, "Give detections ids that last through occlusion and the camera's motion."),
    Spec("split", True, "Part regions of several things of a kind into the single ones."),
    Spec(
        "zoom",
        32,
        "Most views of regions that are seen again, enlarged, in one frame; 0 for none. For household-lit.",
        0,
        256,
    ),
    Spec("refine_masks_most", 20, "Most detections of one frame that proposals draw anew.", 0, 100),
    Spec("track_seconds", 2.0, "How long a thing that is out of sight keeps its id.", 0.1, 60.0),
    Spec("feature_dtype", "float16", "Type of FeatureMap values.", choices=("float16", "float32")),
    Spec("outputs", (ALL,), "Outputs that may be computed: all, or some of " + ", ".join(TOPICS) + "."),
    Spec(
        "max_rate", 0.0, "Most frames a second of a camera that are processed; 0 for no limit.", 0.0, 1000.0
    ),
    Spec(
        "camera_max_rates",
        (0.0,),
        "The same of each camera, in the order of `cameras`, or one for all; 0 takes max_rate.",
        0.0,
        1000.0,
    ),
    Spec(
        "camera_weights",
        (1.0,),
        "Shares of the work, one for each camera or one for all, where there is more than can be done.",
        0.001,
        1000.0,
    ),
    Spec("max_batch", 0, "Most cameras whose frames are computed together; 0 for all.", 0, 64),
    Spec(
        "expected_rates",
        (0.0,),
        "Frames a second that a camera should deliver, one for all or each, for diagnostics; 0: not known.",
        0.0,
        1000.0,
    ),
)
