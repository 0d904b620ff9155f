"""Maps as files: the format, the journal, exports."""
