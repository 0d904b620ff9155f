"""One camera of a node: subscriptions, synchronisation by stamp, scheduling."""
