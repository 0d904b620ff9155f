"""Licences of weights: which are permissive, what the others restrict, and how timm spells them."""

from __future__ import annotations

UNKNOWN_LICENCE = "unknown"
PERMISSIVE = ("Apache-2.0", "MIT", "BSD-3-Clause")
# Licence to what it restricts, in the words of a warning.
RESTRICTIONS = {
    "CC-BY-NC-4.0": "forbids commercial use",
    "DINOv3 License": "is Meta's own: it forbids some uses and binds whoever you give the model to",
    "Apple AMLR": "is Apple's own: it allows research alone, no commercial use",
    "Apple ASCL": "is Apple's own, written for its sample code",
    "NVIDIA Open Model License": "is NVIDIA's own",
    "FAIR Noncommercial Research License": "allows noncommercial research alone",
    UNKNOWN_LICENCE: "is not known here; find it out before you use the model",
}
# How timm records a licence, to how it is written here.
_TIMM_LICENCES = {
    "apache-2.0": "Apache-2.0",
    "mit": "MIT",
    "bsd-3-clause": "BSD-3-Clause",
    "cc-by-nc-4.0": "CC-BY-NC-4.0",
    "dinov3-license": "DINOv3 License",
    "apple-amlr": "Apple AMLR",
    "apple-ascl": "Apple ASCL",
    "nvidia-open-model-license": "NVIDIA Open Model License",
    "fair-noncommercial-research-license": "FAIR Noncommercial Research License",
}


def is_permissive(licence: str) -> bool:
    """Whether weights under this licence may be used commercially without further terms."""
    return licence in PERMISSIVE


def licence_warning(model: str, licence: str) -> str:
    """What the licence of ``model`` restricts, in a sentence; empty where it is permissive."""
    if is_permissive(licence):
        return ""
    return f"the licence of '{model}' ({licence}) {RESTRICTIONS.get(licence, 'has terms')}"


def licence_of_timm(recorded: str | None) -> str:
    """The licence that timm records for weights, as it is written here."""
    return _TIMM_LICENCES.get((recorded or UNKNOWN_LICENCE).lower(), recorded or UNKNOWN_LICENCE)
