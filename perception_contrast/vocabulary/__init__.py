"""Vocabularies as files, and their memory across restarts."""
