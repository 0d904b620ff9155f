"""Questions to the map: vectors and filters in; objects, places, directions or "not seen" out."""
