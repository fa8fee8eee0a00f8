"""What TensorFlow wrote: checkpoints and SavedModel directories, read without it."""
