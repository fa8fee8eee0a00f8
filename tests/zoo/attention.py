"""Attention: tensors passed by keyword, several outputs, masks."""

from __future__ import annotations

import keras
from keras import layers

from tests.zoo.registry import model


@model()
def self_attention() -> keras.Model:
    x = keras.Input((5, 4), name="x")
    return keras.Model(x, layers.MultiHeadAttention(2, 3, name="attention")(x, x))


@model("keywords", "structured")
def attention_by_keyword() -> keras.Model:
    q, v, k = keras.Input((3, 4), name="q"), keras.Input((5, 4), name="v"), keras.Input((5, 6), name="k")
    y = layers.MultiHeadAttention(2, 3, value_dim=2, name="attention")(query=q, value=v, key=k)
    return keras.Model([q, v, k], y)


@model("keywords", "masked", "structured")
def attention_mask() -> keras.Model:
    x = keras.Input((5, 4), name="x")
    allowed = keras.Input((5, 5), dtype="bool", name="allowed")
    y = layers.MultiHeadAttention(2, 3, name="attention")(x, x, attention_mask=allowed)
    return keras.Model([x, allowed], y)


@model("keywords", "structured")
def attention_scores() -> keras.Model:
    x = keras.Input((5, 4), name="x")
    y, scores = layers.MultiHeadAttention(2, 3, name="attention")(x, x, return_attention_scores=True)
    return keras.Model(x, {"y": layers.Dense(2, name="head")(y), "scores": scores})


@model("keywords")
def attention_scores_unused() -> keras.Model:
    x = keras.Input((5, 4), name="x")
    attend = layers.MultiHeadAttention(2, 3, name="attention")
    y, _ = attend(x, x, return_attention_scores=True, use_causal_mask=True)
    return keras.Model(x, y)


@model("keywords", "random")
def transformer_block() -> keras.Model:
    x = keras.Input((5, 4), name="x")
    y = layers.LayerNormalization(name="norm_1")(x)
    y = layers.MultiHeadAttention(2, 2, dropout=0.1, name="attention")(query=y, value=y, use_causal_mask=True)
    y = layers.Dropout(0.1, name="drop")(y)
    x2 = layers.Add(name="add_1")([x, y])
    y = layers.LayerNormalization(name="norm_2")(x2)
    y = layers.Dense(8, activation="gelu", name="expand")(y)
    y = layers.Dense(4, name="contract")(y)
    return keras.Model(x, layers.Add(name="add_2")([x2, y]))


@model()
def grouped_query_attention() -> keras.Model:
    x = keras.Input((5, 8), name="x")
    return keras.Model(x, layers.GroupQueryAttention(4, 4, 2, name="attention")(x, x))


@model("structured")
def attention_without_heads() -> keras.Model:
    q, v = keras.Input((3, 4), name="q"), keras.Input((5, 4), name="v")
    dot = layers.Attention(use_scale=True, name="dot")([q, v])
    additive = layers.AdditiveAttention(name="additive")([q, v])
    return keras.Model([q, v], layers.Concatenate(name="both")([dot, additive]))


@model("keywords", "masked", "structured")
def attention_with_list_of_masks() -> keras.Model:
    q, v = keras.Input((3, 4), name="q"), keras.Input((5, 4), name="v")
    q_mask, v_mask = keras.Input((3,), dtype="bool", name="q_mask"), keras.Input((5,), dtype="bool", name="v_mask")
    y = layers.Attention(name="attend")([q, v], mask=[q_mask, v_mask])
    return keras.Model([q, v, q_mask, v_mask], y)
