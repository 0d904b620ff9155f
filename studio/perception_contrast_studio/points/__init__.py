"""Points with vectors, as the server and its workers pass them to each other."""
