"""Frame to FeatureGrid: registry, weights, preprocessing, towers."""
