"""Appliances and electronics."""
