"""Household objects: categories, their catalogue, and random draws of them."""
