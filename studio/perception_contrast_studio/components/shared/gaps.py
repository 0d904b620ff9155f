"""Distances in rows and columns."""

CSS = """
.gap-none { gap: 0; }
.gap-xs { gap: 4px; }
.gap-sm { gap: 8px; }
.gap-md { gap: 12px; }
.gap-lg { gap: 12px 24px; }
.gap-xl { gap: 12px 32px; }
"""
