"""The embedded household model: rendered data, alignment head, rescoring head and their figures."""
