"""The process itself: its threads, its memory, its processor time, its end."""
