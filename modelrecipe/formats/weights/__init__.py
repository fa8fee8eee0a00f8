"""Files of weights alone, and how their entries find the layers of an architecture."""
