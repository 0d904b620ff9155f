"""Words to embeddings: vocabularies, tokenisers, text towers, cache."""
