"""Parts of a node: running it, its models, frames, parameters, publishers, services and stored vocabulary."""
