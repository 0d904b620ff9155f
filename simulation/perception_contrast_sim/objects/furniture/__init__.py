"""Furniture: seats, beds, tables, cupboards."""
