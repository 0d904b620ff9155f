"""From recordings to a dataset: frames chosen, and what was known when each was seen."""
