"""Parts of the pages of augmentations and of the similarity matrix."""
