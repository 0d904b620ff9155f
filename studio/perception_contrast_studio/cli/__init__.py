"""The `perception-contrast studio` command."""
