"""Messages to and from core types, QoS, parameters, workers, diagnostics: what every node shares."""
