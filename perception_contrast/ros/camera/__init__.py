"""One camera of a node: subscriptions, stamp synchroniser, scheduler, output publishers."""
