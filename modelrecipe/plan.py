"""`plan`: what a run would do, found out by running the same steps on documents, without writing."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelrecipe.edit.fit import refuse_misfits
from modelrecipe.engine.bench import WorkBench
from modelrecipe.engine.execution import Execution
from modelrecipe.engine.options import silent
from modelrecipe.garbage import uncollected
from modelrecipe.recipe.imports import import_code

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelrecipe.outcome import Outcome
    from modelrecipe.recipe import Recipe


@uncollected()
def plan_recipe(
    recipe: Recipe,
    *,
    out: str | Path | None = None,
    force: bool = False,
    exact: bool = False,
    allow_code: bool = False,
    memory: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> Outcome:
    """Say what a run would do.

    Args:
        recipe: a recipe.
        out: folder for the outputs, as in a run.
        force: as in a run.
        exact: start Keras where only it can tell a size or build an architecture; nothing is written all the same.
        allow_code: import the modules that the recipe names; only with `exact`.
        memory: bytes that a run may use at its peak, as a plan estimates it; None for no limit.
        progress: told in words what takes time.

    Returns:
        The outcome; its `problems` are what would stop the run beside the recipe itself, such as an existing output.

    Raises:
        RecipeError: a step refuses; nothing was written.
    """
    begun = time.perf_counter()
    bench = WorkBench(
        folder=recipe.folder,
        imports=recipe.imports,
        seed=recipe.seed,
        out=Path(out) if out is not None else None,
        force=force,
        is_dry=True,
        exact=exact,
        executes_graphs=allow_code,
        memory=memory,
        progress=progress or silent,
    )
    with bench:
        if exact:
            import_code(recipe, allow_code=allow_code)
        execution = Execution(recipe, bench)
        execution.run()
        if execution.checkpoint is not None:
            refuse_misfits(execution.checkpoint)
            if exact:
                execution.checkpoint = bench.measure(execution.checkpoint)
        outcome = execution.outcome()
        is_known = not any(step.is_unknown for step in outcome.steps)
        seconds = time.perf_counter() - begun
        return replace(outcome, after=outcome.after if is_known else None, seconds=seconds)
