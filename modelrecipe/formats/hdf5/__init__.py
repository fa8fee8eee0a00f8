"""HDF5 files: whole models and lists of weights, read and rewritten in their layout."""
