"""The pages in the order of the menu."""

from __future__ import annotations

from perception_contrast_studio.pages.augmentations_page import PAGE as AUGMENTATIONS
from perception_contrast_studio.pages.compare_encoders_page import PAGE as COMPARE_ENCODERS
from perception_contrast_studio.pages.dataset_page import PAGE as DATASET
from perception_contrast_studio.pages.embedding_page import PAGE as EMBEDDING
from perception_contrast_studio.pages.live_page import PAGE as LIVE
from perception_contrast_studio.pages.map_page import PAGE as MAP
from perception_contrast_studio.pages.similarity_page import PAGE as SIMILARITY
from perception_contrast_studio.pages.training_page import PAGE as TRAINING
from perception_contrast_studio.server.studio_page import StudioPage

PAGES: tuple[StudioPage, ...] = (
    LIVE,
    MAP,
    EMBEDDING,
    AUGMENTATIONS,
    SIMILARITY,
    COMPARE_ENCODERS,
    TRAINING,
    DATASET,
)
