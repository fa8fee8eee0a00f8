"""Policies of mixed precision as tf.keras wrote them: objects of classes that Keras 3 does not have."""

from __future__ import annotations

from typing import Any

from modelrecipe.formats.repair import Json, Repair, Writer, with_config

_CLASSES = ("Policy", "PolicyV1", "AutoCastPolicy")
_NAMES = {"float16_with_float32_vars": "mixed_float16", "bfloat16_with_float32_vars": "mixed_bfloat16"}
# The type of the first input, which is float32 wherever nothing else is said.
_INFERRED = ("infer", "_infer")


def _mend(data: Json, writer: Writer) -> Json:
    del writer
    config = data["config"]
    policy: Any = config.get("dtype") if isinstance(config, dict) else None
    if not isinstance(policy, dict) or policy.get("class_name") not in _CLASSES:
        return data
    name = policy["config"].get("name")
    if name is None or name in _INFERRED:
        return with_config(data, drop=("dtype",))
    return with_config(data, dtype=_NAMES.get(name, name))


REPAIR = Repair(
    name="old-policies",
    cause="the dtype is a `Policy` object of tf.keras",
    versions="tf.keras 2.1 to 2.15",
    cure="the policy's name, as `mixed_float16`",
    layer=_mend,
)
