"""What the vectors of frames tell of them: near-duplicates, outliers, coverage, which to label."""
