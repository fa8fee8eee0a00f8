from __future__ import annotations

import keras
import pytest

import modelrecipe
from tests import zoo


@pytest.mark.parametrize(
    ("spec", "is_known"),
    [
        ("{class: Dense, config: {units: 3}}", True),
        ("{class: EinsumDense, config: {equation: 'ab,bc->ac', output_shape: 3}}", False),
    ],
)
def test_a_plan_tells_the_parameters_of_a_new_head_where_they_follow(save, tmp_path, spec: str, is_known: bool):
    model = zoo.ZOO["chain"]()
    save(model, "m.keras")
    head = model.layers[-1].name
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        "version: 1\nsteps:\n  - load: m.keras\n"
        f"  - replace: {{layers: {head}, with: {spec}, weights: fresh}}\n  - save: o.keras\n"
    )
    loaded = modelrecipe.load_recipe(recipe)
    planned = loaded.plan()
    ran = loaded.run()
    assert planned.after is not None
    assert ran.after is not None
    assert planned.after.parameters == (ran.after.parameters if is_known else None)
    assert ran.after.parameters == keras.saving.load_model(tmp_path / "o.keras").count_params()
