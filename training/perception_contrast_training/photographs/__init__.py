"""Labelled photographs: published sets in their own layouts, and which words are true of what they show."""
