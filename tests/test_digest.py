from __future__ import annotations

import time
from typing import TYPE_CHECKING

from modelrecipe import formats
from modelrecipe.engine.digest import TensorDigests, content_digest, named_tensors
from modelrecipe.propagate import annotate
from tests import zoo

if TYPE_CHECKING:
    from pathlib import Path


def digest(path: Path, digests: TensorDigests | None = None):
    return content_digest(formats.read_checkpoint(path), digests or TensorDigests())


def test_two_saves_of_one_model_have_one_content(save, tmp_path: Path):
    model = zoo.ZOO["nested_three_deep"]()
    one = save(model, "one.keras")
    time.sleep(1.1)  # so that the dates inside differ
    two = save(model, "two.keras")
    assert one.read_bytes() != two.read_bytes()
    assert digest(one) == digest(two)


def test_one_number_makes_other_weights_and_the_same_architecture(save):
    model = zoo.ZOO["chain"]()
    one = digest(save(model, "one.keras"))
    variable = model.trainable_weights[0]
    values = variable.numpy()
    values.flat[0] += 1e-3
    variable.assign(values)
    two = digest(save(model, "two.keras"))
    assert one.architecture == two.architecture
    assert one.weights != two.weights


def test_a_flag_makes_another_architecture(save):
    model = zoo.ZOO["chain"]()
    one = digest(save(model, "one.keras"))
    model.layers[-1].trainable = False
    two = digest(save(model, "two.keras"))
    assert one.architecture != two.architecture
    assert one.weights == two.weights


def test_shapes_that_were_worked_out_do_not_count(save):
    checkpoint = formats.read_checkpoint(save(zoo.ZOO["sequential"]()))
    digests = TensorDigests()
    assert content_digest(checkpoint, digests) == content_digest(annotate(checkpoint), digests)


def test_each_stored_tensor_is_read_once(save):
    checkpoint = formats.read_checkpoint(save(zoo.ZOO["chain"]()))
    reads: list[str] = []
    tensor = next(iter(named_tensors(checkpoint)))[1][0]
    source = tensor.source
    assert source is not None

    class Counting:
        def __call__(self):
            reads.append(tensor.name)
            return source()

    from dataclasses import replace

    counted = replace(tensor, source=Counting())
    digests = TensorDigests()
    assert digests.of(counted) == digests.of(counted) == tensor.digest()
    assert len(reads) == 1
