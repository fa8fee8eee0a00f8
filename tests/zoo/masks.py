"""Masks, which travel beside the tensors or are passed by keyword."""

from __future__ import annotations

import keras
from keras import layers

from tests.zoo.registry import model


def _embedded(name: str = "tokens") -> tuple[keras.KerasTensor, keras.KerasTensor]:
    tokens = keras.Input((6,), dtype="int32", name=name)
    return tokens, layers.Embedding(7, 4, mask_zero=True, name=f"{name}_table")(tokens)


@model("masked", "operations")
def masked_lstm() -> keras.Model:
    tokens, x = _embedded()
    return keras.Model(tokens, layers.Dense(2, name="head")(layers.LSTM(3, name="lstm")(x)))


@model("masked", "operations")
def masked_gru_stack() -> keras.Model:
    """The mask passes through a Dropout and a recurrent layer that returns sequences."""
    tokens, x = _embedded()
    x = layers.Dropout(0.2, name="drop")(x)
    x = layers.GRU(4, return_sequences=True, name="first")(x)
    return keras.Model(tokens, layers.GRU(3, name="second")(x))


@model("masked", "operations")
def masked_average() -> keras.Model:
    tokens, x = _embedded()
    return keras.Model(tokens, layers.GlobalAveragePooling1D(name="average")(x))


@model("masked", "operations")
def masked_attention() -> keras.Model:
    tokens, x = _embedded()
    y = layers.MultiHeadAttention(2, 2, name="attention")(x, x)
    return keras.Model(tokens, layers.GlobalAveragePooling1D(name="average")(layers.Add(name="add")([x, y])))


@model("masked", "keywords", "structured")
def masked_cross_attention() -> keras.Model:
    (source, s), (target, t) = _embedded("source"), _embedded("target")
    y = layers.MultiHeadAttention(2, 2, name="attention")(query=t, value=s)
    return keras.Model({"source": source, "target": target}, y)


@model("masked", "operations")
def masked_bidirectional() -> keras.Model:
    tokens, x = _embedded()
    x = layers.Bidirectional(layers.LSTM(2, return_sequences=True, name="lstm"), name="both")(x)
    return keras.Model(tokens, layers.TimeDistributed(layers.Dense(3, name="tag"), name="tags")(x))


@model("masked", "operations")
def masking_layer() -> keras.Model:
    x = keras.Input((5, 3), name="x")
    y = layers.Masking(mask_value=0.0, name="masking")(layers.ReLU(threshold=2.0, name="sparser")(x))
    return keras.Model(x, layers.LSTM(3, name="lstm")(y))


@model("masked", "keywords", "structured")
def explicit_mask() -> keras.Model:
    x, mask = keras.Input((5, 3), name="x"), keras.Input((5,), dtype="bool", name="mask")
    y = layers.GRU(3, return_sequences=True, name="gru")(x, mask=mask)
    return keras.Model([x, mask], layers.GlobalAveragePooling1D(name="average")(y, mask=mask))


@model("masked", "keywords", "operations")
def mask_computed_by_layer() -> keras.Model:
    tokens = keras.Input((6,), dtype="int32", name="tokens")
    table = layers.Embedding(7, 4, mask_zero=True, name="table")
    return keras.Model(tokens, layers.LSTM(3, name="lstm")(table(tokens), mask=table.compute_mask(tokens)))


@model("masked", "nested", "shared", "structured", "operations")
def masked_inside_nested() -> keras.Model:
    """The mask begins inside the nested model, which is called on two inputs."""
    tokens, x = _embedded()
    encoder = keras.Model(tokens, layers.LSTM(3, return_sequences=True, name="lstm")(x), name="encoder")
    a, b = (keras.Input((6,), dtype="int32", name=name) for name in ("a", "b"))
    averaged = [layers.GlobalAveragePooling1D(name=f"average_{x.name}")(encoder(x)) for x in (a, b)]
    return keras.Model([a, b], layers.Subtract(name="difference")(averaged))


@model("masked", "shared", "structured", "operations")
def masked_shared_embedding() -> keras.Model:
    a, b = keras.Input((6,), dtype="int32", name="a"), keras.Input((4,), dtype="int64", name="b")
    table, encode = layers.Embedding(7, 4, mask_zero=True, name="table"), layers.LSTM(3, name="encode")
    return keras.Model([a, b], layers.Subtract(name="difference")([encode(table(a)), encode(table(b))]))


@model("shared", "keywords")
def tied_embedding() -> keras.Model:
    """The table that reads the tokens also scores them."""
    tokens = keras.Input((6,), dtype="int32", name="tokens")
    table = layers.ReversibleEmbedding(7, 4, name="table")
    x = layers.Dense(4, activation="tanh", name="dense")(table(tokens))
    return keras.Model(tokens, table(x, reverse=True))
