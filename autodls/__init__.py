"""AutoDLS: self-configuring tumour classification from multi-sequence MR images."""

__version__ = "0.1.0"
