"""The `perception-contrast` command."""
