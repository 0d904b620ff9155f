"""Near-duplicates, splits, statistics and contact sheets of datasets."""
