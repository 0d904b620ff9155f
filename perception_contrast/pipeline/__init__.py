"""The processing of one frame, computing only what is asked for."""
