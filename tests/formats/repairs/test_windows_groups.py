"""Names of groups that Windows joined with backslashes; whole files are in `test_keras2_groups.py`."""

from __future__ import annotations

from modelrecipe.formats.hdf5.tensors import Group
from modelrecipe.formats.repairs.windows_groups import unfold


def group(path: str, **groups: Group) -> Group:
    return Group(path=path, groups=groups)


def test_each_backslash_is_a_group() -> None:
    root = Group(
        groups={
            "layers\\dense": group("layers\\dense", vars=group("layers\\dense/vars")),
            "layers\\model\\layers\\dense": group("layers\\model\\layers\\dense"),
            "layers\\model": group("layers\\model", vars=group("layers\\model/vars")),
            "vars": group("vars"),
        }
    )
    inner = group("layers/model/layers", dense=group("layers/model/layers/dense"))
    model = group("layers/model", layers=inner, vars=group("layers/model/vars"))
    dense = group("layers/dense", vars=group("layers/dense/vars"))
    assert unfold(root) == group("", layers=group("layers", dense=dense, model=model), vars=group("vars"))


def test_names_without_backslashes_stay() -> None:
    root = group("", layers=group("layers"))
    assert unfold(root) is root
