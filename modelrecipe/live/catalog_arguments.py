"""What the arguments of a Keras class are: names, JSON kinds, defaults, allowed words, a line of documentation.

Names and defaults come from signatures, lines from docstrings, allowed words from trying them. Kinds come from the
default's type and from what Keras means by a name everywhere (`kernel_size` is an integer or one per axis); where
neither says anything, an argument may be anything. Knows Keras; only the catalog writer needs it.
"""

from __future__ import annotations

import enum
import inspect
import re
from typing import TYPE_CHECKING, Any

from keras.src import activations, constraints, initializers, regularizers

if TYPE_CHECKING:
    import types
    from collections.abc import Callable, Mapping

Facts = dict[str, Any]

_INTEGER = r"units|filters|n|num_heads|key_dim|head_dim|num_(query|key_value)_heads|input_dim|output_dim|height|width"
_OPTIONAL_INTEGER = (
    r"value_dim|max_tokens|num_tokens|vocabulary_size|lora_rank|sliding_window|frame_step|sequence_length|batch_size|"
    r"output_sequence_length|fft_length|gptq_unpacked_column_size|num_segments|num|length|maximum_iterations"
)
_PER_AXIS = (
    r"kernel_size|strides?|dilation(_rate)?|pool_size|size|output_size|output_padding|padding|cropping|axis|axes|"
    r"attention_axes|shared_axes|repeats|shift|source|destination|pad_width|ngrams|indices_or_sections"
)
_KINDS: tuple[tuple[str, str], ...] = (
    (r"name|bias_axes|method|call_training_endpoint", "string null"),
    (r"data_format|merge_mode", "string null"),
    (r"\w+_(initializer|regularizer|constraint)|(recurrent_)?activation|(\w+_)?dtype", "string object null"),
    (r"bounding_box_format|split|standardize|window", "string object array null"),
    (r"trainable|autocast|ragged|sparse|flash_attention", "boolean"),
    (r"use_cudnn", "string boolean"),
    (r"layer", "object"),
    (r"backward_layer|quantization_config|renorm_clipping|arguments", "object null"),
    (r"cell", "object array"),
    (r"cells|layers|target_shape|newshape|dims|subscripts_list", "array"),
    (r"noise_shape|batch_shape|shape|bin_boundaries", "array null"),
    (r"vocabulary|idf_weights", "array string object null"),
    (r"weights|(mean|variance)", "number array object null"),
    (r"salt", "integer array null"),
    (r"seed", "integer object null"),
    (_INTEGER + r"|max_number|num_bins|num_classes|k", "integer"),
    (_OPTIONAL_INTEGER, "integer null"),
    (_PER_AXIS, "integer array"),
    (r"rate|stddev", "number"),
    (r"max_value|lora_alpha|logit_soft_cap|max_freq|rcond|tol|nan|posinf|neginf", "number null"),
    (r"\w*factor|scale|offset|sigma|fill_value|alpha", "number array"),
    (r"equation|filepath|subscripts", "string"),
    (r"threshold|default_value|b", "number"),
)
_EXCEPTIONS: Mapping[str, str] = {
    "EinsumDense.output_shape": "integer array",
    "MultiHeadAttention.output_shape": "integer array null",
    "STFTSpectrogram.window": "string array object null",
    "MelSpectrogram.window": "string array object null",
    "Discretization.num_bins": "integer null",
    "IntegerLookup.vocabulary_dtype": "string",
    "Scan.unroll": "integer boolean",
}
_ABSTRACT = {"initializer", "regularizer", "constraint"}


def _names(objects: Mapping[Any, Any]) -> tuple[str, ...]:
    return tuple(sorted(name for name in objects if name and name.lower() not in _ABSTRACT))


NAMED_OBJECTS: Mapping[str, tuple[str, ...]] = {
    "activation": _names(activations.ALL_OBJECTS_DICT),
    "initializer": _names(initializers.ALL_OBJECTS_DICT),
    "regularizer": _names(regularizers.ALL_OBJECTS_DICT),
    "constraint": _names(constraints.ALL_OBJECTS_DICT),
    "data_format": ("channels_last", "channels_first"),
}
_ARGS_SECTION = r"^\s*Args:\s*\n(.*?)(?=^\S|^ {0,4}[A-Z][\w ]*:\s*$|\Z)"
_NONSENSE = "no_such_word"


def signature_facts(owner: Any, *, docs: Mapping[str, str], name: str) -> list[Facts]:
    """One mapping per named parameter of the constructor of `owner`, in order."""
    parameters = inspect.signature(owner.__init__).parameters.values()
    named = (p for p in parameters if p.name != "self" and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL))
    return [argument_facts(f"{name}.{p.name}", p.name, p.default, docs) for p in named]


def argument_facts(full_name: str, name: str, default: Any, docs: Mapping[str, str]) -> Facts:
    """What is known of one argument; keys that say nothing are left out."""
    facts: Facts = {"name": name}
    is_required = default is inspect.Parameter.empty
    value = None if is_required else as_json(default)
    kinds = _kinds(full_name, name, value, is_required=is_required)
    if kinds:
        facts["kind"] = kinds
    if is_required:
        facts["required"] = True
    elif value is not None:
        facts["default"] = value
    if docs.get(name):
        facts["doc"] = docs[name]
    words = next((key for key in NAMED_OBJECTS if re.fullmatch(rf"(\w+_)?{key}", name)), None)
    if words is not None:
        facts["choices"] = f"@{words}"
    return facts


def as_json(value: Any) -> Any:
    """A default as JSON has it: tuples are lists; what JSON does not know (functions, sentinels) is None."""
    if isinstance(value, enum.Enum):
        return None
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    return value if isinstance(value, bool | int | float | str) else None


def kind_of(value: Any) -> str:
    """The JSON kind of a value: an integer is told from other numbers."""
    table = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return table.get(type(value), "null")


def _kinds(full_name: str, name: str, default: Any, *, is_required: bool) -> list[str]:
    """Possible JSON kinds; empty where anything may stand."""
    by_name = _EXCEPTIONS.get(full_name)
    if by_name is None:
        by_name = next((kinds for regex, kinds in _KINDS if re.fullmatch(regex, name)), None)
    if is_required:
        return (by_name or "").split()
    own = kind_of(default)
    if by_name is None or (own in ("boolean", "string") and own not in by_name.split()):
        return [] if own == "null" else [own]
    kinds = by_name.split()
    widened = ["number"] if own == "number" and "integer" in kinds else []
    missing = [own] if own not in kinds and not (own == "integer" and "number" in kinds) and not widened else []
    return [*kinds, *widened, *missing]


def argument_docs(text: str | None) -> dict[str, str]:
    """First sentences of the `Args:` section of a docstring, by argument."""
    section = re.search(_ARGS_SECTION, inspect.cleandoc(text or ""), re.DOTALL | re.MULTILINE)
    if section is None:
        return {}
    lines = section.group(1).splitlines()
    indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    docs: dict[str, str] = {}
    name = ""
    for line in lines:
        head = re.match(rf" {{{indent}}}(\**\w+(?:, ?\w+)*)(?: \(.*?\))?: ?(.*)", line)
        if head:
            name = head.group(1)
            docs[name] = head.group(2)
        elif name:
            docs[name] += f" {line.strip()}"
    return {key.strip(): first_sentence(doc) for names, doc in docs.items() for key in names.split(",")}


def first_sentence(text: str, most: int = 150) -> str:
    """The text up to its first full stop, on one line, cut at a word where it is longer than `most`."""
    line = re.sub(r"\s+", " ", text).strip()
    line = re.split(r"(?<=[^.][a-z0-9`)\"'\]])\.(?:\s|$)", line, maxsplit=1)[0]
    return line if len(line) <= most else line[:most].rsplit(" ", 1)[0] + " ..."


def allowed_words(attempt: Callable[[str], str | None], default: str) -> list[str]:
    """The words that an argument takes, where Keras' refusal of any other word lists them.

    Documentation names examples, so a list taken from it would refuse good words; a refusal that names the default
    names all. Each word is tried.

    Args:
        attempt: makes and calls an instance with the word; gives back what Keras says against it, or None.
        default: its default, which is always allowed.

    Returns:
        The default first, then by alphabet; nothing where Keras takes any word or does not say which.
    """
    refusal = attempt(_NONSENSE)
    words = re.findall(r"[A-Za-z][\w-]*", refusal or "")
    if refusal is None or default not in words:
        return []
    candidates = [word for word in words if word not in (_NONSENSE, "None", "True", "False")]
    said = {word: attempt(word) for word in candidates}
    allowed = [w for w, text in said.items() if (text or "").lower() != refusal.replace(_NONSENSE, w).lower()]
    return list(dict.fromkeys([default, *sorted(allowed)]))


def full_docs(owner: Any) -> dict[str, str]:
    """Documentation of the arguments of a class, those of its parents included."""
    docs: dict[str, str] = {}
    for parent in reversed(owner.__mro__):
        docs.update(argument_docs(parent.__doc__))
    return docs


def operation_docs(owner: Any, module: types.ModuleType) -> dict[str, str]:
    """Documentation of an operation: it stands at the function of the same name."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", owner.__name__).lower()
    function = getattr(module, snake, None)
    return argument_docs(function.__doc__) if callable(function) else {}
