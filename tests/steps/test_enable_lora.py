"""`enable_lora` and `merge_lora`: adapters that change nothing at first, train alone, and end in the kernel."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pytest
from keras import layers

from modelrecipe.engine.bench import WorkBench
from modelrecipe.engine.execution import Execution
from modelrecipe.live import placing, state
from tests import zoo
from tests.running import differences, edit, load, refuse, refuse_edit, run, same_bits, told, write_recipe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from modelrecipe.checkpoint import Checkpoint

ENABLE = "enable_lora: {layers: {has: kernel}, rank: 2, alpha: 8}"
MERGE = "merge_lora: {layers: {has: kernel}}"


def dense() -> keras.Model:
    x = keras.Input((6,), name="x")
    y = layers.Dense(5, activation="relu", name="first")(x)
    return keras.Model(x, layers.Dense(4, name="head")(y), name="small")


def of_every_class() -> keras.Model:
    x = keras.Input((9,), dtype="int32", name="x")
    y = layers.Embedding(7, 4, name="embedding")(x)
    y = layers.Conv1D(5, 3, name="conv1")(y)
    y = layers.EinsumDense("abc,cd->abd", (None, 6), bias_axes="d", name="einsum")(y)
    y = layers.Reshape((7, 6, 1), name="image")(y)
    y = layers.Conv2D(4, 3, name="conv2")(y)
    y = layers.Reshape((5, 4, 4, 1), name="volume")(y)
    y = layers.Conv3D(4, 2, name="conv3")(y)
    y = layers.Flatten(name="flat")(y)
    return keras.Model(x, layers.Dense(3, name="head")(y), name="every")


@contextmanager
def opened(folder: Path, model: keras.Model, *steps: str) -> Iterator[tuple[WorkBench, Checkpoint]]:
    """The document after these steps, on a bench that can build it."""
    model.save(folder / "m.keras")
    with WorkBench(folder=folder) as bench:
        execution = Execution(write_recipe(folder, "load: m.keras", *steps), bench)
        execution.run()
        assert execution.checkpoint is not None
        yield bench, execution.checkpoint


def with_trained(bench: WorkBench, document: Checkpoint) -> tuple[Checkpoint, keras.Model]:
    """What stands for a training: adapters of small fractions, whose products are exact in any order."""
    built = bench.workshop.lend(document)
    random = np.random.default_rng(0)
    weights = document.weights
    for located in document.layers():
        key, tensors = located.layer.key, document.weights.of(located.layer.key)
        placed = placing.places(built.layers[key], tensors) if tensors else None
        if placed is None:
            continue
        for variable, tensor in placed:
            if tensor.name.startswith("lora_"):
                variable.assign(random.integers(-2, 3, variable.shape) / 8)
        now = {tensor.slot: tensor for tensor in state.read(built.layers[key], located.layer.kind_name, {})}
        weights = weights.having(key, [_with(tensor, now[tensor.slot]) for tensor in tensors])
    return replace(document, weights=weights), built.model


def _with(tensor: Any, now: Any) -> Any:
    return replace(tensor, source=now.source, edits=())


def step(folder: Path, text: str) -> Any:
    return write_recipe(folder, "load: m.keras", ENABLE, text).steps[2].step


def test_outputs_are_the_same_at_first_and_only_factors_and_biases_train(tmp_path: Path):
    with opened(tmp_path, dense(), ENABLE, "check: {same_outputs_as: m.keras}") as (bench, document):
        live = bench.workshop.live(document)
        assert [weight.path for weight in live.trainable_variables] == [
            f"{name}/{weight}" for name in ("first", "head") for weight in ("bias", "lora_kernel_a", "lora_kernel_b")
        ]
        wanted = 2 * (6 + 5) + 2 * (5 + 4) + 5 + 4
        assert document.trainable_parameters() == wanted
        assert sum(int(np.prod(weight.shape)) for weight in live.trainable_variables) == wanted
        assert [live.get_layer(name).lora_alpha for name in ("first", "head")] == [8, 8]
        live.trainable = True
        assert not live.get_layer("head")._kernel.trainable


def test_biases_stay_frozen_where_that_is_asked_for(tmp_path: Path):
    steps = ("enable_lora: {layers: head, rank: 1, freeze_bias: true}", "freeze: first")
    with opened(tmp_path, dense(), *steps) as (bench, document):
        live = bench.workshop.live(document)
        assert [weight.path for weight in live.trainable_variables] == ["head/lora_kernel_a", "head/lora_kernel_b"]
        assert document.trainable_parameters() == 5 + 4
        assert live.get_layer("head").lora_alpha == 1


@pytest.mark.parametrize("model", [dense, of_every_class])
def test_what_was_trained_comes_back_and_is_merged(model: Any, tmp_path: Path):
    names = "{type: [Dense, EinsumDense, Conv1D, Conv2D, Conv3D, Embedding]}"
    enable = f"enable_lora: {{layers: {names}, rank: 2, alpha: 4}}"
    source = model()
    data = np.random.default_rng(1).integers(0, 6, (3, *source.input_shape[1:]))
    with opened(tmp_path, source, enable) as (bench, document):
        trained, live = with_trained(bench, document)
        outputs = live.predict(data, verbose=0)
        assert np.abs(outputs - source.predict(data, verbose=0)).max() > 0.01
        assert same_bits(bench.workshop.live(trained).predict(data, verbose=0), outputs)
        merged = step(tmp_path, f"merge_lora: {{layers: {names}}}").apply(trained, bench)
        bench.write(merged, "out.keras", None, force=False)
    after = load(tmp_path / "out.keras")
    assert all(item.endswith(("/kernel", "/embeddings")) for item in differences(source, after))
    assert len(differences(source, after)) == sum(layer.count_params() > 0 for layer in source.layers)
    assert np.abs(after.predict(data, verbose=0) - outputs).max() <= 1e-5
    change = (after.get_layer("head").kernel - source.get_layer("head").kernel).numpy()
    assert np.linalg.matrix_rank(change, tol=1e-4) <= 2
    assert after.get_layer("head").trainable_weights == after.get_layer("head").weights


def test_the_merged_kernel_is_that_of_keras(tmp_path: Path):
    with opened(tmp_path, dense(), ENABLE) as (bench, document):
        trained, live = with_trained(bench, document)
        merged = step(tmp_path, MERGE).apply(trained, bench)
        for name in ("first", "head"):
            kernel = next(tensor for tensor in merged.weights.of(name) if tensor.name == "kernel")
            assert np.array_equal(kernel.read(), np.asarray(live.get_layer(name).kernel))


def test_untrained_adapters_leave_the_file_as_it_was(tmp_path: Path):
    model = dense()
    model.save(tmp_path / "m.keras")
    outcome = run(tmp_path, "load: m.keras", ENABLE, MERGE, "save: out.keras")
    assert (outcome.outputs[0].how, outcome.outputs[0].proof.identical) == ("streamed", 4)
    assert differences(model, load(tmp_path / "out.keras")) == []
    assert [change.what for change in outcome.steps[1].changes + outcome.steps[2].changes] == [
        "kernel frozen, LoRA of rank 2 and alpha 8: 22 numbers",
        "kernel frozen, LoRA of rank 2 and alpha 8: 18 numbers",
        "LoRA of rank 2 merged into kernel",
        "LoRA of rank 2 merged into kernel",
    ]


def test_adapters_that_a_step_edited_are_merged_with_what_keras_gave_them(tmp_path: Path):
    model = dense()
    after = edit(tmp_path, model, ENABLE, "rescale: {layers: head, weights: 'lora_*', factor: 2}", MERGE)
    assert differences(model, after) == []


def test_an_old_hdf5_file_and_a_new_layer_can_have_adapters(tmp_path: Path):
    model = dense()
    model.save(tmp_path / "m.h5")
    run(tmp_path, "load: m.h5", ENABLE, "check: {same_outputs_as: m.h5}", MERGE, "save: out.keras")
    assert differences(model, load(tmp_path / "out.keras")) == []
    new = "replace: {layers: head, with: {class: Dense, config: {units: 3}}, weights: fresh}"
    assert edit(tmp_path, model, new, ENABLE, MERGE).output_shape == (None, 3)


def test_a_file_that_names_adapters_has_them_merged_and_becomes_plain(tmp_path: Path):
    model = dense()
    model.get_layer("head").enable_lora(2, lora_alpha=6)
    model.get_layer("head").lora_kernel_b.assign(np.ones((2, 4)))
    model.save(tmp_path / "m.keras")
    outcome = run(tmp_path, "load: m.keras", "merge_lora: head", "save: out.keras")
    assert outcome.steps[0].notes == (
        "LoRA adapters of 'head' are merged in the file: Keras begins with zeros, which never train",
    )
    after = load(tmp_path / "out.keras")
    assert not after.get_layer("head").lora_enabled
    data = np.ones((2, 6), "float32")
    assert np.abs(after.predict(data, verbose=0) - model.predict(data, verbose=0)).max() <= 1e-6
    with opened(tmp_path, load(tmp_path / "m.keras"), "insert: {after: first, layer: Identity}") as (bench, document):
        assert bench.workshop.live(document).get_layer("head").lora_alpha == 2  # what Keras wrote after reloading


def test_saving_adapters_is_refused_in_plan_and_run(tmp_path: Path):
    assert refuse_edit(tmp_path, dense(), ENABLE) == (
        "5:11: save.path: 'first', 'head' have LoRA adapters, which no file of Keras keeps: once loaded, they are zeros and"
        " never train; write merge_lora before save"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "enable_lora: {layers: head, rank: 5}",
            "4:39: enable_lora.rank: a rank of 5 is more than the kernel (5, 4) can have; write at most 4",
        ),
        (
            "enable_lora: {layers: x, rank: 1}",
            "4:27: enable_lora.layers: 'x' is a InputLayer, to which Keras gives no LoRA adapters;"
            " select layers of the classes Conv1D, Conv2D, Conv3D, Dense, EinsumDense, Embedding, ReversibleEmbedding",
        ),
        (
            "merge_lora: head",
            "4:17: merge_lora.layers: 'head' has no LoRA adapters; select the layers that enable_lora named",
        ),
    ],
)
def test_what_cannot_have_adapters_is_refused(text: str, said: str, tmp_path: Path):
    assert refuse_edit(tmp_path, dense(), text) == said


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (
            "freeze: head",
            "5:27: enable_lora.layers: 'head' is frozen, so its adapters would not train;"
            " unfreeze it before; enable_lora freezes the kernel by itself",
        ),
        (
            "configure: {layers: head, config: {kernel_constraint: non_neg}}",
            "5:27: enable_lora.layers: 'head' has a kernel_constraint, which Keras does not combine with LoRA;"
            " write configure: {layers: head, config: {kernel_constraint: null}} before",
        ),
        (
            "enable_lora: {layers: head, rank: 2}",
            "5:27: enable_lora.layers: 'head' has LoRA adapters already; write merge_lora before",
        ),
    ],
)
def test_layers_in_no_state_for_adapters_are_refused(before: str, said: str, tmp_path: Path):
    assert refuse_edit(tmp_path, dense(), before, "enable_lora: {layers: head, rank: 1}") == said


def test_quantized_layers_are_refused(tmp_path: Path):
    zoo.ZOO["quantized_int8"]().save(tmp_path / "m.keras")
    error = refuse(tmp_path, "load: m.keras", "enable_lora: {layers: first, rank: 1}", "save: out.keras")
    assert told(error) == "4:27: enable_lora.layers: 'first' is quantized, so its kernel cannot take adapters"
