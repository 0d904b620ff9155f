"""Does each method learn? A fixed budget a method, beside lightly's and open_clip's, run in pieces."""
