"""Parts of a node: running it, lifecycle, models, frames, services, vocabulary, status."""
