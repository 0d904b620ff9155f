"""Figures of an accelerator: parts that are measured in processes of their own, and the page of them."""
