"""The package's version, apart from the public names of the package, which load far more."""

__version__ = "0.2.0"
