"""The shortest honest Keras script for each edit; each is run as it stands."""
