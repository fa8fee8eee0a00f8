"""What `save` sets going on a bench: claims the place, chooses how it is written, and writes or only plans it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from modelrecipe import formats
from modelrecipe.edit.lora import refuse_adapters
from modelrecipe.engine.memory import memory_problem
from modelrecipe.engine.old_format import refuse_old_format
from modelrecipe.engine.output import Written, planned, shown_path
from modelrecipe.engine.training_config import optimizer_note, with_training_config
from modelrecipe.engine.watching import watched
from modelrecipe.errors import MemoryLimitError
from modelrecipe.formats.keras_zip.shard_plan import SHARD_SIZE, planned_shards
from modelrecipe.formats.keras_zip.shard_set import refuse_foreign
from modelrecipe.formats.keras_zip.shards import files_of
from modelrecipe.garbage import uncollected
from modelrecipe.obstacles import obstacles
from modelrecipe.outcome import Output

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from modelrecipe.checkpoint import Checkpoint
    from modelrecipe.engine.bench import WorkBench
    from modelrecipe.formats.passing import Passed


@uncollected()
def write_out(
    bench: WorkBench, checkpoint: Checkpoint, path: str, format: str | None, *, force: bool, shard_size: int | None
) -> Checkpoint:
    """Write the model, whole or not at all, and note what was written; see `Bench.write`.

    Raises:
        RecipeError: nothing may be written there, the model cannot be, or what was written is not what it should be.
    """
    kind, target = bench.claim(path, format, force=force)
    refuse_adapters(checkpoint)
    if kind == "h5" and not formats.can_rewrite(checkpoint, kind):
        refuse_old_format(checkpoint)
    measured, note = with_training_config(bench.source, bench.measure(checkpoint))
    _note_any(bench, note)
    how = "streamed" if formats.can_rewrite(measured, kind) else "built"
    if how == "built" and bench.is_dry:
        bench.problems += () if bench.imports else obstacles(checkpoint, executes_graphs=bench.executes_graphs)
    output, name = Output(path=str(path), file=shown_path(target), format=kind, how=how), bench.name_of(path)
    limit = shard_size or SHARD_SIZE
    if bench.is_dry:
        if kind == "weights_json":
            output = _spread(output, measured, target, limit)
        output = planned(output, measured, target, bench.largest_read)
        _refuse_memory(bench, output)
        bench.written.append(Written(output=output, target=target, name=name))
        return measured
    from modelrecipe.engine.writing import Demands, write_proved  # a plan does without

    bench.progress(f"writing {path}")
    demands = Demands(
        source=bench.source,
        changes=bench.all_changes,
        locked=bench.expected.get(name),
        digests=bench.digests,
        reads_back=bench.reads_back,
    )
    write = partial(_put, bench, measured, output, limit)
    proof, content = write_proved(measured, target, output, write, demands, may_replace=force or bench.force)
    if kind not in formats.WEIGHTS_ALONE:
        _note_any(bench, optimizer_note(bench.source, measured, bench.record_of_step.notes))
    shards = [file.stat().st_size for file in files_of(target)] if kind == "weights_json" else []
    output = replace(output, size=target.stat().st_size + sum(shards), proof=proof, shards=tuple(shards))
    bench.written.append(Written(output=output, target=target, name=name, content=content))
    return measured


def _spread(output: Output, checkpoint: Checkpoint, target: Path, limit: int) -> Output:
    """A planned output with its shards; what only happens to be called like one of them is refused."""
    shards = planned_shards(checkpoint, limit) or ()
    refuse_foreign(target, max(1, len(shards)))
    return replace(output, shards=tuple(shards))


def _put(
    bench: WorkBench, checkpoint: Checkpoint, output: Output, limit: int, temporary: Path
) -> Mapping[Path, Sequence[Passed]]:
    is_spread = output.format == "weights_json"
    passed: Mapping[Path, Sequence[Passed]] = {}
    expected = planned(output, checkpoint, temporary).size if bench.passing is not None else None
    with watched(temporary.parent if is_spread else temporary, f"writing {output.path}", expected, bench.passing):
        if output.how == "built":
            whole = temporary.with_name("built.weights.h5") if is_spread else temporary
            built, note = bench.workshop.save(checkpoint, whole, "weights_h5" if is_spread else output.format)
            _note_any(bench, note)
            passed = formats.split(whole, checkpoint.model, temporary, limit) if is_spread else {temporary: built}
            if is_spread:
                whole.unlink()
        elif is_spread:
            passed = formats.rewrite_in_shards(checkpoint, temporary, limit)
        else:
            passed = {temporary: formats.rewrite(checkpoint, temporary, output.format)}
    bench.progress("comparing what was written with the source")
    return passed


def _refuse_memory(bench: WorkBench, output: Output) -> None:
    """Note the first output that needs too much memory; one is enough to see by."""
    problem = memory_problem(output, bench.memory)
    if problem is not None and not any(isinstance(item, MemoryLimitError) for item in bench.problems):
        bench.problems.append(problem)


def _note_any(bench: WorkBench, text: str | None) -> None:
    if text is not None:
        bench.note(text)
