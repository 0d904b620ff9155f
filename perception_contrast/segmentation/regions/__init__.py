"""Logit maps to regions, and regions to cosines, relevancies and probabilities."""
