"""Recurrent layers: states in and out, cells, directions."""

from __future__ import annotations

import keras
from keras import layers

from tests.zoo.registry import model


@model()
def stacked_recurrence() -> keras.Model:
    x = keras.Input((5, 3), name="x")
    y = layers.SimpleRNN(4, return_sequences=True, name="simple")(x)
    y = layers.GRU(3, return_sequences=True, reset_after=False, name="gru")(y)
    return keras.Model(x, layers.LSTM(2, recurrent_activation="hard_sigmoid", go_backwards=True, name="lstm")(y))


@model("keywords", "structured")
def initial_state() -> keras.Model:
    x, state = keras.Input((5, 3), name="x"), keras.Input((4,), name="state")
    return keras.Model([x, state], layers.GRU(4, name="gru")(x, initial_state=state))


@model("keywords", "structured")
def initial_states_as_list() -> keras.Model:
    x, start = keras.Input((5, 3), name="x"), keras.Input((2,), name="start")
    h, c = layers.Dense(4, name="to_h")(start), layers.Dense(4, name="to_c")(start)
    return keras.Model([x, start], layers.LSTM(4, name="lstm")(x, initial_state=[h, c]))


@model("structured")
def returned_states() -> keras.Model:
    x = keras.Input((5, 3), name="x")
    y, h, c = layers.LSTM(4, return_sequences=True, return_state=True, name="lstm")(x)
    return keras.Model(x, {"sequence": layers.Dense(2, name="head")(y), "h": h, "c": c})


@model()
def returned_states_unused() -> keras.Model:
    x = keras.Input((5, 3), name="x")
    _, _, c = layers.LSTM(4, return_state=True, name="lstm")(x)
    return keras.Model(x, layers.Dense(2, name="head")(c))


@model("keywords", "structured")
def encoder_decoder() -> keras.Model:
    source, target = keras.Input((5, 3), name="source"), keras.Input((4, 2), name="target")
    _, *states = layers.LSTM(3, return_state=True, name="encoder")(source)
    y = layers.LSTM(3, return_sequences=True, name="decoder")(target, initial_state=states)
    return keras.Model([source, target], layers.Dense(2, name="head")(y))


@model("shared", "keywords", "structured")
def one_recurrence_fed_by_itself() -> keras.Model:
    """The second call of the layer begins with the states of the first."""
    x = keras.Input((5, 3), name="x")
    cell = layers.LSTM(3, return_sequences=True, return_state=True, name="lstm")
    y, h, c = cell(x)
    y, h, c = cell(y, initial_state=[h, c])
    return keras.Model(x, [y, h])


@model("stateful")
def stateful_recurrence() -> keras.Model:
    x = keras.Input(batch_shape=(2, 5, 3), name="x")
    return keras.Model(x, layers.LSTM(4, stateful=True, name="lstm")(x))


@model()
def stacked_cells() -> keras.Model:
    x = keras.Input((5, 3), name="x")
    cells = layers.StackedRNNCells([layers.LSTMCell(4), layers.GRUCell(3)])
    return keras.Model(x, layers.RNN(cells, name="rnn")(x))


@model()
def list_of_cells() -> keras.Model:
    x = keras.Input((5, 3), name="x")
    return keras.Model(x, layers.RNN([layers.SimpleRNNCell(4), layers.SimpleRNNCell(2)], name="rnn")(x))


@model()
def convolutional_recurrence() -> keras.Model:
    x = keras.Input((3, 6, 2), name="x")
    return keras.Model(x, layers.ConvLSTM1D(2, 3, padding="same", name="conv_lstm")(x))
