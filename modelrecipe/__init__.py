"""Change Keras models from a reviewed YAML file."""
