"""Rooms furnished at random, and camera paths through them."""
