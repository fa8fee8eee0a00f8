"""`run`: carry a recipe out, prove it, lock it."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelrecipe import lock
from modelrecipe.edit.fit import refuse_misfits
from modelrecipe.engine.bench import WorkBench
from modelrecipe.engine.devices import Devices
from modelrecipe.engine.execution import Execution
from modelrecipe.engine.options import Options, silent
from modelrecipe.errors import Problems, UsageError
from modelrecipe.garbage import uncollected
from modelrecipe.recipe import Recipe
from modelrecipe.recipe.imports import import_code, require_permission

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from modelrecipe.engine.execution import Milestone
    from modelrecipe.outcome import Outcome


def run_recipe(
    recipe: Recipe,
    *,
    out: str | Path | None = None,
    force: bool = False,
    locked: bool = False,
    allow_code: bool = False,
    memory: int | None = None,
    progress: Callable[[str], None] | None = None,
    passing: Callable[[str], None] | None = None,
    read_back: bool = False,
    resume: bool = False,
    events: Callable[[str, Mapping[str, Any]], None] | None = None,
) -> Outcome:
    """Carry out a recipe.

    The whole recipe is tried on documents first, so that what can be known early fails early. Every written file is
    opened again and compared with the source before it takes its name.

    Args:
        recipe: a recipe.
        out: folder for the outputs and locks, instead of the recipe's own paths.
        force: replace outputs that exist.
        locked: refuse the run when anything differs from the lock beside the output.
        allow_code: import the Python modules that the recipe names.
        memory: bytes that the run may use at its peak, as a plan estimates it; None for no limit.
        progress: told in words what takes time.
        passing: told again and again how far a long write is; for a display that replaces what it showed.
        read_back: read all numbers of an output from the disk again for the proof, instead of hashing them on their way
            there.
        resume: let trainings go on from the states that an earlier run kept.
        events: told of what happens in trainings, as a name and facts.

    Raises:
        RecipeError: a step, a check, the proof or the lock refuses; no output of this step or a later one exists.
    """
    begun = time.perf_counter()
    require_permission(recipe, allow_code=allow_code)
    versions = lock.versions()
    devices = Devices.of(recipe)
    options = Options(
        folder=recipe.folder,
        seed=recipe.seed,
        out=Path(out) if out is not None else None,
        force=force,
        progress=progress or silent,
        passing=passing,
        memory=memory,
        executes_graphs=allow_code,
        imports=recipe.imports,
        name=recipe.path.stem,
        reads_back=read_back,
        resumes=resume,
        events=_unheard if devices.is_follower or events is None else events,
        devices=devices,
    )
    expected = _try(recipe, options, allow_code=allow_code, versions=versions if locked else None)
    locks: list[str] = []

    def on_output(milestone: Milestone) -> None:
        locks.append(str(lock.write_lock(recipe, milestone, bench.digests, versions)))

    with WorkBench.of(options, expected=expected) as bench:
        devices.prepare(options.progress)
        import_code(recipe, allow_code=allow_code)
        execution = Execution(recipe, bench, on_output)
        execution.run()
        return replace(execution.outcome(), locks=tuple(locks), seconds=time.perf_counter() - begun)


def _unheard(event: str, facts: Mapping[str, Any]) -> None:
    del event, facts


@uncollected()
def _try(
    recipe: Recipe, options: Options, *, allow_code: bool, versions: Mapping[str, str | None] | None
) -> Mapping[str, Mapping[str, str]]:
    """Try the recipe on documents, and compare with the locks where `versions` are given.

    Locks need every step, so that Keras is started for them where the documents alone do not lead to the end. What is
    read of models and data stays with the options, for the run.

    Returns:
        The digests that the locks demand.
    """
    for exact in (False, True):
        progress = options.progress if exact else silent
        with WorkBench.of(
            options, is_dry=True, exact=exact, progress=progress, compares_locks=versions is not None
        ) as tried:
            if exact:
                tried.devices.prepare(progress)
                import_code(recipe, allow_code=allow_code)
            trial = Execution(recipe, tried)
            trial.run()
            if trial.checkpoint is not None:
                refuse_misfits(trial.checkpoint)
            if tried.problems:
                raise tried.problems[0] if len(tried.problems) == 1 else Problems(tried.problems)
            if versions is None:
                break
            if exact or not any(step.is_unknown for step in trial.outcomes):
                return lock.expectations(recipe, trial, versions)
    return {}


def apply(
    recipe: Recipe | str | Path, model: Any, given: Mapping[str, Any] | None = None, *, allow_code: bool = False
) -> Any:
    """Apply a recipe's steps to a live Keras model and give back a new one; the model itself stays untouched.

    The model stands in for what the recipe loads, and `save` steps are left out. The new model shares no layer and no
    variable with the old one, and is not compiled.

    Args:
        recipe: a recipe, or the path of one.
        model: a Keras model.
        given: values for the recipe's variables, when a path is given.
        allow_code: import the Python modules that the recipe names.

    Raises:
        UsageError: what is given is no recipe, or no Keras model that is built.
        RecipeError: as in a run.
    """
    from modelrecipe.live.session import custom_classes_of

    read = _as_recipe(recipe, given)
    _refuse_no_model(model)
    bench = WorkBench(folder=read.folder, seed=read.seed, imports=read.imports, is_safe=False)
    with bench, custom_classes_of(model):
        require_permission(read, allow_code=allow_code)
        import_code(read, allow_code=allow_code)
        bench.given = bench.source = bench.workshop.capture(model)
        execution = Execution(read, bench)
        execution.run()
        edited = bench.measure(execution.checkpoint or bench.given)
        return bench.workshop.live(edited)


def _as_recipe(recipe: object, given: Mapping[str, Any] | None) -> Recipe:
    from modelrecipe.recipe import load_recipe

    if isinstance(recipe, Recipe):
        return recipe
    if isinstance(recipe, str | Path):
        return load_recipe(recipe, given)
    raise UsageError(f"a recipe is a path or what load_recipe gives, not {type(recipe).__name__}")


def _refuse_no_model(model: Any) -> None:
    from modelrecipe.live.session import import_keras

    if not isinstance(model, import_keras().Model):
        raise UsageError(f"apply takes a live Keras model, not {type(model).__name__}", hint="run takes files")
    if not model.built:
        raise UsageError(f"the model '{model.name}' is not built yet", hint="call it on data once")
