"""How good it is, on scenes that training never saw."""
