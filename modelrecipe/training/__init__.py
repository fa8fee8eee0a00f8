"""What a training is, as values: when something happens, what is minimised, how fast. Knows neither files nor Keras."""
