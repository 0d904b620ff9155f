"""The models of images and words: architecture, weights, licence and preprocessing of each."""

from __future__ import annotations

from perception_contrast.models.image_models import DINOV3_LICENCE, NVIDIA_LICENCE
from perception_contrast.models.specs import (
    HALF,
    IMAGENET_MEAN,
    IMAGENET_STD,
    OPENAI_MEAN,
    OPENAI_STD,
    Family,
    HubFile,
    ModelSpec,
    Triple,
    WebFiles,
)

WEIGHTS, PICKLED = "open_clip_model.safetensors", "open_clip_pytorch_model.bin"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json")
NONE: Triple = (0.0, 0.0, 0.0)
ONE: Triple = (1.0, 1.0, 1.0)


def _clip(
    name: str,
    arch: str,
    repo: str,
    *,
    dim: int,
    millions: float,
    what: str,
    size: int = 224,
    half: bool = False,
    squash: bool = False,
    licence: str = "MIT",
) -> ModelSpec:
    return ModelSpec(
        name=name,
        family="clip",
        arch=arch,
        patch=int(arch.split("-")[2]),
        dim=dim,
        size=size,
        mean=HALF if half else OPENAI_MEAN,
        std=HALF if half else OPENAI_STD,
        licence=licence,
        description=f"{what}, {arch}",
        hub=HubFile(repo, WEIGHTS, fallback=PICKLED),
        millions=millions,
        squash=squash,
    )


def _openai(name: str, arch: str, repo: str, dim: int, millions: float, size: int = 224) -> ModelSpec:
    return _clip(
        f"clip-vit-{name}",
        f"{arch}-quickgelu",
        f"timm/{repo}.openai",
        dim=dim,
        millions=millions,
        what="OpenAI CLIP",
        size=size,
    )


def _laion(
    name: str,
    arch: str,
    repo: str,
    dim: int,
    millions: float,
    size: int = 224,
    *,
    half: bool = False,
) -> ModelSpec:
    return _clip(
        f"clip-vit-{name}",
        arch,
        f"laion/CLIP-{repo}",
        dim=dim,
        millions=millions,
        what="OpenCLIP, trained on " + ("DataComp" if "DataComp" in repo else "LAION"),
        size=size,
        half=half,
    )


def _metaclip(name: str, arch: str, repo: str, dim: int, millions: float) -> ModelSpec:
    return _clip(
        f"metaclip-{name}",
        f"{arch}-quickgelu",
        f"timm/{repo}_clip_224.metaclip_2pt5b",
        dim=dim,
        millions=millions,
        what="MetaCLIP, trained on 2.5 billion pairs",
        licence="CC-BY-NC-4.0",
    )


def _dfn(name: str, arch: str, repo: str, dim: int, millions: float, size: int = 224) -> ModelSpec:
    return _clip(
        f"dfn-{name}",
        arch,
        f"apple/{repo}",
        dim=dim,
        millions=millions,
        what="CLIP by data filtering networks",
        size=size,
        squash=repo.startswith("DFN5B"),
        licence="Apple ASCL",
    )


def _siglip(name: str, arch: str, dim: int, millions: float, size: int) -> ModelSpec:
    return ModelSpec(
        name=name,
        family="siglip",
        arch=arch,
        patch=int(arch.split("-")[2]),
        dim=dim,
        size=size,
        mean=HALF,
        std=HALF,
        licence="Apache-2.0",
        description=f"{'SigLIP 2' if 'SigLIP2' in arch else 'SigLIP'}, {arch}",
        hub=HubFile(f"timm/{arch}", WEIGHTS, TOKENIZER, PICKLED),
        millions=millions,
        squash=True,
    )


def _open_clip(
    name: str,
    family: Family,
    arch: str,
    repo: str,
    *,
    patch: int,
    dim: int,
    millions: float,
    size: int,
    colours: tuple[Triple, Triple],
    licence: str,
    what: str,
) -> ModelSpec:
    """One whose images were resized bilinearly."""
    return ModelSpec(
        name=name,
        family=family,
        arch=arch,
        patch=patch,
        dim=dim,
        size=size,
        mean=colours[0],
        std=colours[1],
        licence=licence,
        description=what,
        hub=HubFile(f"timm/{repo}", WEIGHTS, fallback=PICKLED),
        millions=millions,
        interpolation="bilinear",
        squash=family == "pe-core",
    )


def _mobileclip(letter: str, patch: int, dim: int, millions: float) -> ModelSpec:
    plain = letter in ("s0", "s2")
    arch = f"MobileCLIP2-{letter.upper()}"
    return _open_clip(
        f"mobileclip2-{letter}",
        "mobileclip",
        arch,
        f"{arch}-OpenCLIP",
        patch=patch,
        dim=dim,
        millions=millions,
        size=256,
        colours=(NONE, ONE) if plain else (OPENAI_MEAN, OPENAI_STD),
        licence="Apple AMLR",
        what=f"MobileCLIP 2, convolutional FastViT, cells of {patch} px",
    )


def _pe_core(name: str, arch: str, patch: int, dim: int, millions: float, size: int) -> ModelSpec:
    return _open_clip(
        f"pe-core-{name}",
        "pe-core",
        arch,
        arch,
        patch=patch,
        dim=dim,
        millions=millions,
        size=size,
        colours=(HALF, HALF),
        licence="Apache-2.0",
        what=f"Perception Encoder, aligned with words, {arch}",
    )


def _metaclip2(
    name: str, arch: str, repo: str, dim: int, millions: float, size: int = 224, *, weights: str = WEIGHTS
) -> ModelSpec:
    """weights: the file in the repository, in open_clip's names or in those of transformers."""
    return ModelSpec(
        name=f"metaclip2-{name}",
        family="metaclip2",
        arch=arch,
        patch=int(arch.split("-")[2]),
        dim=dim,
        size=size,
        mean=OPENAI_MEAN,
        std=OPENAI_STD,
        licence="CC-BY-NC-4.0",
        description=f"MetaCLIP 2, words in 300 languages, {arch}",
        hub=HubFile(repo, weights, TOKENIZER, PICKLED if weights == WEIGHTS else ""),
        millions=millions,
        squash=size == 378,
    )


def _metaclip2_small(name: str, arch: str, dim: int, millions: float) -> ModelSpec:
    repo = f"facebook/metaclip-2-worldwide-{name}"
    return _metaclip2(name, f"{arch}-worldwide", repo, dim, millions, weights="model.safetensors")


def _metaclip2_large(
    name: str, arch: str, repo: str, dim: int, millions: float, size: int = 224
) -> ModelSpec:
    return _metaclip2(name, arch, f"timm/{repo}.metaclip2_worldwide", dim, millions, size)


def _tips(
    letter: str,
    size: str,
    dim: int,
    millions: float,
    *,
    depth: int,
    heads: int,
    hidden: int,
    temperature: float,
) -> ModelSpec:
    """depth, heads, hidden: of the text tower."""
    return ModelSpec(
        name=f"tipsv2-{letter}14",
        family="tips",
        arch=f"vit_{size}_patch14_reg1_tipsv2",
        patch=14,
        dim=dim,
        size=448,
        mean=NONE,
        std=ONE,
        licence="Apache-2.0",
        description=f"TIPSv2 ViT-{letter if letter == 'g' else letter.upper()}/14, patches aligned to text",
        hub=HubFile(f"google/tipsv2-{letter}14", others=("tokenizer.model",)),
        millions=millions,
        interpolation="bilinear",
        squash=True,
        options=(
            ("temperature", temperature),
            ("text_depth", depth),
            ("text_heads", heads),
            ("text_hidden", hidden),
        ),
    )


# Text towers of dino.txt: blocks, heads, channels. Its image head has two blocks with 16 heads.
_DINOTXT_SIZES = (
    ("head_depth", 2),
    ("head_heads", 16),
    ("text_depth", 24),
    ("text_heads", 20),
    ("text_width", 1280),
)


def _dinotxt(
    name: str, arch: str, companion: str, web: WebFiles, *, patch: int, millions: float, licence: str
) -> ModelSpec:
    """companion: the DINO that both of its blocks stand on."""
    return ModelSpec(
        name=f"dinotxt-{name}",
        family="dinotxt",
        arch=arch,
        patch=patch,
        dim=1024,
        size=224,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        licence=licence,
        description=f"dino.txt: words for the patches and images of {companion}",
        web=web,
        companion=companion,
        millions=millions,
        options=_DINOTXT_SIZES,
    )


def _radio_words(name: str, size: str, repo: str, dim: int, millions: float) -> ModelSpec:
    """C-RADIOv4 with its adaptor to SigLIP 2. dim: channels of its tower."""
    return ModelSpec(
        name=f"c-radiov4-{name}16-siglip2",
        family="radio-words",
        arch=f"vit_{size}_patch16_radio_v4",
        patch=16,
        dim=1536,
        size=512,
        mean=OPENAI_MEAN,
        std=OPENAI_STD,
        licence=NVIDIA_LICENCE,
        description=f"C-RADIOv4 ViT-{repo}/16, its adaptor to SigLIP 2, and that one's text tower",
        hub=HubFile(f"nvidia/C-RADIOv4-{repo}", f"c-radio_v4-{repo.lower()}_half.pth.tar"),
        companion="siglip2-g16-384",
        millions=millions,
        options=(("adaptor_hidden", 1520), ("adaptor_blocks", 2), ("width", dim)),
    )


_META = "https://dl.fbaipublicfiles.com"
_DINOV2_TXT = "dinov2_vitl14_reg4_dinotxt_tet1280d20h24l"

LANGUAGE_MODELS = (
    _openai("b32", "ViT-B-32", "vit_base_patch32_clip_224", 512, 151.3),
    _openai("b16", "ViT-B-16", "vit_base_patch16_clip_224", 512, 149.6),
    _openai("l14", "ViT-L-14", "vit_large_patch14_clip_224", 768, 427.6),
    _openai("l14-336", "ViT-L-14-336", "vit_large_patch14_clip_336", 768, 427.9, 336),
    _laion("b32-laion", "ViT-B-32", "ViT-B-32-laion2B-s34B-b79K", 512, 151.3),
    _laion("b16-laion", "ViT-B-16", "ViT-B-16-laion2B-s34B-b88K", 512, 149.6),
    _laion("l14-laion", "ViT-L-14", "ViT-L-14-laion2B-s32B-b82K", 768, 427.6, half=True),
    _laion("h14-laion", "ViT-H-14", "ViT-H-14-laion2B-s32B-b79K", 1024, 986.1),
    _laion("bigg14-laion", "ViT-bigG-14", "ViT-bigG-14-laion2B-39B-b160k", 1280, 2539.6),
    _laion("b32-datacomp", "ViT-B-32", "ViT-B-32-DataComp.XL-s13B-b90K", 512, 151.3),
    _laion("b32-256-datacomp", "ViT-B-32-256", "ViT-B-32-256x256-DataComp-s34B-b86K", 512, 151.3, 256),
    _laion("b16-datacomp", "ViT-B-16", "ViT-B-16-DataComp.XL-s13B-b90K", 512, 149.6),
    _laion("l14-datacomp", "ViT-L-14", "ViT-L-14-DataComp.XL-s13B-b90K", 768, 427.6),
    _metaclip("b32", "ViT-B-32", "vit_base_patch32", 512, 151.3),
    _metaclip("b16", "ViT-B-16", "vit_base_patch16", 512, 149.6),
    _metaclip("l14", "ViT-L-14", "vit_large_patch14", 768, 427.6),
    _metaclip("h14", "ViT-H-14", "vit_huge_patch14", 1024, 986.1),
    _dfn("b16", "ViT-B-16-quickgelu", "DFN2B-CLIP-ViT-B-16", 512, 149.6),
    _dfn("l14", "ViT-L-14-quickgelu", "DFN2B-CLIP-ViT-L-14", 768, 427.6),
    _dfn("h14", "ViT-H-14-quickgelu", "DFN5B-CLIP-ViT-H-14", 1024, 986.1),
    _dfn("h14-378", "ViT-H-14-378-quickgelu", "DFN5B-CLIP-ViT-H-14-378", 1024, 986.7, 378),
    _siglip("siglip-b16", "ViT-B-16-SigLIP", 768, 203.2, 224),
    _siglip("siglip-b16-256", "ViT-B-16-SigLIP-256", 768, 203.2, 256),
    _siglip("siglip-b16-384", "ViT-B-16-SigLIP-384", 768, 203.4, 384),
    _siglip("siglip-b16-512", "ViT-B-16-SigLIP-512", 768, 203.8, 512),
    _siglip("siglip-l16-256", "ViT-L-16-SigLIP-256", 1024, 652.2, 256),
    _siglip("siglip-l16-384", "ViT-L-16-SigLIP-384", 1024, 652.5, 384),
    _siglip("siglip2-b32-256", "ViT-B-32-SigLIP2-256", 768, 376.9, 256),
    _siglip("siglip2-b16", "ViT-B-16-SigLIP2", 768, 375.2, 224),
    _siglip("siglip2-b16-256", "ViT-B-16-SigLIP2-256", 768, 375.2, 256),
    _siglip("siglip2-b16-384", "ViT-B-16-SigLIP2-384", 768, 375.5, 384),
    _siglip("siglip2-b16-512", "ViT-B-16-SigLIP2-512", 768, 375.8, 512),
    _siglip("siglip2-l16", "ViT-L-16-SigLIP2-256", 1024, 881.5, 256),
    _siglip("siglip2-l16-384", "ViT-L-16-SigLIP2-384", 1024, 881.9, 384),
    _siglip("siglip2-l16-512", "ViT-L-16-SigLIP2-512", 1024, 882.3, 512),
    _siglip("siglip2-so400m14", "ViT-SO400M-14-SigLIP2", 1152, 1135.5, 224),
    _siglip("siglip2-so400m14-378", "ViT-SO400M-14-SigLIP2-378", 1152, 1136.0, 378),
    _siglip("siglip2-so400m16-256", "ViT-SO400M-16-SigLIP2-256", 1152, 1135.7, 256),
    _siglip("siglip2-so400m16-384", "ViT-SO400M-16-SigLIP2-384", 1152, 1136.0, 384),
    _siglip("siglip2-so400m16-512", "ViT-SO400M-16-SigLIP2-512", 1152, 1136.6, 512),
    _siglip("siglip2-g16-256", "ViT-gopt-16-SigLIP2-256", 1536, 1871.4, 256),
    _siglip("siglip2-g16-384", "ViT-gopt-16-SigLIP2-384", 1536, 1871.9, 384),
    _mobileclip("s0", 32, 512, 74.8),
    _mobileclip("s2", 32, 512, 99.2),
    _mobileclip("s3", 64, 768, 248.9),
    _mobileclip("s4", 64, 768, 445.4),
    _pe_core("t16-384", "PE-Core-T-16-384", 16, 512, 69.5, 384),
    _pe_core("s16-384", "PE-Core-S-16-384", 16, 512, 87.2, 384),
    _pe_core("b16", "PE-Core-B-16", 16, 1024, 447.7, 224),
    _pe_core("l14-336", "PE-Core-L-14-336", 14, 1024, 671.1, 336),
    _pe_core("g14-448", "PE-Core-bigG-14-448", 14, 1280, 2419.3, 448),
    _metaclip2_small("s16", "ViT-S-16", 384, 389.5),
    _metaclip2_small("m16", "ViT-M-16", 512, 538.4),
    _metaclip2_small("b32", "ViT-B-32", 512, 587.6),
    _metaclip2_small("b16", "ViT-B-16", 512, 586.0),
    _metaclip2_large("h14", "ViT-H-14-worldwide-quickgelu", "vit_huge_patch14_clip_224", 1024, 1858.8),
    _metaclip2_large("h14-378", "ViT-H-14-worldwide-378", "vit_huge_patch14_clip_378", 1024, 1859.4, 378),
    _metaclip2_large("bigg14", "ViT-bigG-14-worldwide", "vit_gigantic_patch14_clip_224", 1280, 3630.4),
    _metaclip2_large(
        "bigg14-378", "ViT-bigG-14-worldwide-378", "vit_gigantic_patch14_clip_378", 1280, 3631.2, 378
    ),
    _tips("b", "base", 768, 195.9, depth=12, heads=12, hidden=3072, temperature=0.005065968260169029),
    _tips("l", "large", 1024, 487.9, depth=12, heads=16, hidden=4096, temperature=0.004785141441971064),
    _tips("so400m", "so400m", 1152, 861.7, depth=27, heads=16, hidden=4304, temperature=0.004638021811842918),
    _tips("g", "giant", 1536, 1525.1, depth=12, heads=24, hidden=6144, temperature=0.003622700460255146),
    _dinotxt(
        "v2-l14",
        "vit_large_patch14_reg4_dinov2",
        "dinov2-l14-reg",
        WebFiles(
            f"{_META}/dinov2/dinov2_vitl14",
            f"{_DINOV2_TXT}_vision_head.pth",
            (f"{_DINOV2_TXT}_text_encoder.pth",),
        ),
        patch=14,
        millions=867.9,
        licence="Apache-2.0",
    ),
    _dinotxt(
        "v3-l16",
        "vit_large_patch16_dinov3",
        "dinov3-l16",
        WebFiles(
            f"{_META}/dinov3/dinov3_vitl16",
            "dinov3_vitl16_dinotxt_vision_head_and_text_encoder-a442d8f5.pth",
            digest="a442d8f5",
            terms="its authors send a link to whoever accepts their licence; fetch the file by that link",
        ),
        patch=16,
        millions=866.6,
        licence=DINOV3_LICENCE,
    ),
    _radio_words("so400m", "so400m", "SO400M", 1152, 1148.2),
    _radio_words("h", "huge", "H", 1280, 1368.8),
)
