"""This package's version, and how it introduces itself to a broker."""

__version__ = "0.1.0"
SDK = f"python {__version__}"
