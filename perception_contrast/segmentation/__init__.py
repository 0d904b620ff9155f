"""Features and queries to scores, regions, masks and calibrated probabilities."""
