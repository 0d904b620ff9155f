"""Words to vectors: tokenisers, text towers, prompt templates, the text cache."""
