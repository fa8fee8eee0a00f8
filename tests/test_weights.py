from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from modelrecipe.weights import Elementwise, Tensor, Weights, digest_array, matches_weight

if TYPE_CHECKING:
    from collections.abc import Callable


def tensor(values: object, name: str = "kernel", slot: str = "vars/0") -> Tensor:
    array = np.asarray(values, dtype="float32")
    return Tensor(name=name, slot=slot, shape=array.shape, dtype="float32", source=lambda: array)


def test_an_edit_waits_until_the_numbers_are_read():
    calls: list[int] = []

    def source() -> np.ndarray:
        calls.append(1)
        return np.ones(2, "float32")

    edited = Tensor(name="k", slot="vars/0", shape=(2,), dtype="float32", source=source).map(lambda a: a * 2)
    assert not calls
    assert edited.is_edited
    assert edited.read().tolist() == [2.0, 2.0]


def test_edits_are_applied_in_order_and_keep_the_type():
    edited = tensor([1.0]).map(lambda a: a + 1.0).map(lambda a: a.astype("float64") * 10)
    assert edited.read().tolist() == [20.0]
    assert edited.read().dtype == np.float32


@pytest.mark.parametrize("first", [lambda a: np.add(a, 1, out=a), lambda a: a + 1.0])
def test_an_elementwise_edit_leaves_what_it_takes_alone_unless_it_may_not(first: Callable[[np.ndarray], np.ndarray]):
    values = np.asarray([1.0, 2.0], "float32")
    edited = tensor(values).map(Elementwise(first)).map(Elementwise(lambda a: a.astype("float64") * 10))
    assert edited.read().tolist() == [20.0, 30.0]
    assert values.tolist() == [1.0, 2.0]
    edited.edit(values)
    assert values.tolist() == [20.0, 30.0]


def test_a_new_tensor_has_no_numbers_to_read():
    with pytest.raises(ValueError, match=r"^'kernel' is new and has no stored numbers$"):
        Tensor(name="kernel", slot="vars/0", shape=None, dtype=None).read()


def test_the_digest_tells_shape_type_and_bytes_apart():
    base = np.arange(6, dtype="float32")
    assert digest_array(base) == digest_array(base.copy())
    assert len({digest_array(base), digest_array(base.reshape(2, 3)), digest_array(base.astype("float64"))}) == 3
    assert digest_array(np.asarray([0.0], "float32")) != digest_array(np.asarray([-0.0], "float32"))


def test_the_digest_of_a_transposed_view_is_that_of_its_copy():
    view = np.arange(6, dtype="float32").reshape(2, 3).T
    assert digest_array(view) == digest_array(view.copy())


def test_random_state_is_no_parameter():
    seed = Tensor(name="seed_generator_state", slot="seed_generator/vars/0", shape=(2,), dtype="uint32")
    weights = Weights({"drop": (seed,), "dense": (tensor([[1.0, 2.0]]),)})
    assert seed.is_random_state
    assert weights.total() == 2


def test_the_total_is_unknown_while_a_size_is():
    new = Tensor(name="kernel", slot="vars/0", shape=None, dtype=None)
    assert Weights({"a": (tensor([1.0]),), "b": (new,)}).total() is None
    assert Weights({"a": (tensor([1.0]),), "b": (new,)}).total(["a"]) == 1


def test_having_and_without_leave_the_old_weights_alone():
    old = Weights({"a": (tensor([1.0]),)})
    assert set(old.having("b", [tensor([2.0])])) == {"a", "b"}
    assert set(old.without(["a"])) == set()
    assert set(old) == {"a"}


@pytest.mark.parametrize(
    ("name", "pattern", "is_meant"),
    [
        ("kernel", "kernel", True),
        ("query/kernel", "kernel", True),
        ("query/kernel", "query/*", True),
        ("depthwise_kernel", "kernel", False),
        ("depthwise_kernel", "*kernel", True),
        ("bias", "kernel", False),
    ],
)
def test_a_pattern_names_a_weight_or_its_last_component(name: str, pattern: str, is_meant: bool):
    assert matches_weight(tensor([1.0], name=name), pattern) is is_meant
