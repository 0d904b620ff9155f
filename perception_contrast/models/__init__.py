"""The model zoo: registry, specifications, licences, downloads and checked weights. Builds no network."""
