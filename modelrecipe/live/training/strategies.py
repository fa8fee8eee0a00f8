"""Which devices train together: TensorFlow's strategies, and what has to be set before TensorFlow runs anything."""

from __future__ import annotations

import faulthandler
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from modelrecipe import measures
from modelrecipe.errors import TrainingError
from modelrecipe.live.session import quiet_stderr
from modelrecipe.training.settings import refuse_batches

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from modelrecipe.data.feed import Feed
    from modelrecipe.steps.train import Train
    from modelrecipe.training.cluster import Cluster
    from modelrecipe.training.keras_objects import Losses
    from modelrecipe.training.settings import Distribution

_APART = "carry the recipe out in a process of its own, with 'modelrecipe run'"
_STARTING = 120
"""Seconds in which workers that have met must have started TensorFlow."""
_SILENCE = 60
"""Seconds after which a worker that says nothing is lost; one that ends is mostly noticed at once."""
_GONE = "a worker went away before the training began; look there for the cause, and start all workers anew"
_SPEAKER = "import sys; sys.stdin.buffer.read() and sys.stderr.write(sys.argv[1] + chr(10))"


def prepare(wanted: Sequence[Distribution], cluster: Cluster | None) -> Any:
    """Set up what TensorFlow takes before its first operation alone.

    Logical CPUs for `CPU:1` and so on; the server through which machines speak with each other.

    Args:
        wanted: what the trainings say.
        cluster: the machines, where there are several.

    Returns:
        The strategy for several machines; None for one.

    Raises:
        TrainingError: TensorFlow runs already, or cannot reach the other machines.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    with quiet_stderr():
        import tensorflow as tf

    _make_cpus(tf, [name for item in wanted for name in item.devices or ()])
    return None if cluster is None else _joined(tf, cluster)


def _make_cpus(tf: Any, names: Sequence[str]) -> None:
    count = 1 + max((int(name.removeprefix("CPU:")) for name in names if name.startswith("CPU:")), default=0)
    cpus = tf.config.list_physical_devices("CPU")
    if count < 2 or not cpus:
        return
    try:
        tf.config.set_logical_device_configuration(cpus[0], [tf.config.LogicalDeviceConfiguration()] * count)
    except RuntimeError:
        return  # TensorFlow runs already: whatever is missing then is refused by name


def _joined(tf: Any, cluster: Cluster) -> Any:
    """The strategy for several machines.

    TensorFlow's first worker waits for one that died since they met without end, and lets no Python run meanwhile: then
    only leaving the process is left.
    """
    _bound_waiting(cluster)
    try:
        with _bounded(_STARTING + _SILENCE, _GONE), quiet_stderr():
            return tf.distribute.MultiWorkerMirroredStrategy()
    except (tf.errors.OpError, RuntimeError, ValueError) as error:
        raise TrainingError(
            f"the workers cannot be joined: {str(error).splitlines()[0]}",
            hint="look at the other workers, and start all of them anew",
            at=("distribute",),
        ) from error


@contextmanager
def _bounded(seconds: float, farewell: str) -> Iterator[None]:
    """Leave the process with exit code 1 when the block takes longer, even if it lets no Python run meanwhile.

    Then `faulthandler` alone still works, which tells what Python waited for: to a second process that is there for
    it to say what is meant instead.

    Args:
        seconds: how long it may take.
        farewell: what is told on stderr.
    """
    command = [sys.executable, "-I", "-S", "-c", _SPEAKER, farewell]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as speaker:  # out of Ctrl-C's way
        faulthandler.dump_traceback_later(seconds, exit=True, file=speaker.stdin)  # type: ignore[arg-type]  # a pipe was asked for
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()


def _bound_waiting(cluster: Cluster) -> None:
    """Limit how long TensorFlow waits for other workers; by its own way it is an hour, or for ever.

    The strategy takes over a service that is configured already, which only TensorFlow's inner room can do.
    """
    from tensorflow.python.eager import context as room

    inner: Any = room
    context = inner.context()
    if context._context_handle is not None:
        raise TrainingError(
            "multi_worker must be set up before TensorFlow runs", hint=_APART, at=("distribute", "strategy")
        )
    jobs = _jobs(cluster)
    context.configure_coordination_service(
        service_type="standalone",
        service_leader=f"/job:{jobs[0][0]}/replica:0/task:0",
        cluster_register_timeout_in_ms=_STARTING * 1000,
        heartbeat_timeout_in_ms=_SILENCE * 1000,
        shutdown_barrier_timeout_in_ms=_SILENCE * 1000,
        coordinated_jobs=[
            inner.coordination_config_pb2.CoordinatedJob(name=name, num_tasks=count) for name, count in jobs
        ],
    )


def _jobs(cluster: Cluster) -> list[tuple[str, int]]:
    """TensorFlow's names for the workers, the one that leads first."""
    count = len(cluster.workers)
    if not cluster.has_chief:
        return [("worker", count)]
    return [("chief", 1), ("worker", count - 1)] if count > 1 else [("chief", 1)]


def strategy_of(step: Train, feed: Feed, joined: Any = None) -> Any:
    """TensorFlow's strategy for a training; the default one, for one device, where the recipe says nothing.

    Args:
        step: what the recipe says.
        feed: what the model is trained on.
        joined: the strategy for several machines, which was made before TensorFlow ran.

    Raises:
        TrainingError: a device is not there, or the batches cannot be shared evenly.
    """
    import tensorflow as tf

    wanted = step.distribute
    if wanted is None:
        return tf.distribute.get_strategy()
    if wanted.strategy == "multi_worker":
        if joined is None:
            raise TrainingError(
                "multi_worker must be set up before TensorFlow runs",
                hint=_APART,
                at=("distribute", "strategy"),
            )
        strategy = joined
    else:
        with quiet_stderr():
            strategy = _mirrored(tf, _devices(tf, wanted.devices))
    if strategy.num_replicas_in_sync > 1:
        refuse_unshared(step, feed.examples, strategy.num_replicas_in_sync)
    return strategy


def refuse_unshared(step: Train, examples: int, devices: int) -> None:
    """Refuse what several devices cannot do as one would.

    Raises:
        TrainingError: batches, losses or the compiler are against it.
    """
    refuse_batches(step.batch_size, devices)
    rest = 0 if step.drop_remainder else examples % step.batch_size
    if 0 < rest < devices:
        raise TrainingError(
            f"the last batch of an epoch has {measures.counted(rest, 'example')} for {devices} devices",
            hint="write drop_remainder: true, or another batch_size",
            at=("batch_size",),
        )
    if step.jit:
        raise TrainingError(
            "jit compiles for one device, but there are several", hint="leave jit or distribute out", at=("jit",)
        )
    _refuse_sums(step.loss)


def _refuse_sums(losses: Losses, at: tuple[str | int, ...] = ("loss",)) -> None:
    """Refuse losses that are no mean over the examples, whose parts cannot be put together.

    Raises:
        TrainingError: one has another reduction.
    """
    if isinstance(losses, tuple | Mapping):
        for key, item in losses.items() if isinstance(losses, Mapping) else enumerate(losses):
            _refuse_sums(item, (*at, key))
        return
    reduction = losses.config.get("reduction", "sum_over_batch_size")
    if reduction not in ("sum_over_batch_size", "mean"):
        raise TrainingError(
            f"a loss with reduction '{reduction or 'none'}' cannot be shared by several devices",
            hint="leave the reduction out",
            at=(*at, "config", "reduction"),
        )


def _mirrored(tf: Any, devices: list[str]) -> Any:
    """A strategy whose sums are not taken for those of an earlier one in this process.

    TensorFlow keeps the shape of each sum by a number that every strategy counts from the same start.
    """

    class Mirrored(tf.distribute.MirroredStrategy):
        _collective_key_base = 1000 * (uuid4().int % 1_000_000)

    return Mirrored(devices)


def _devices(tf: Any, named: tuple[str, ...] | None) -> list[str]:
    known = [device.name.removeprefix("/device:") for device in tf.config.list_logical_devices()]
    if named is None:
        best = "GPU" if any(name.startswith("GPU") for name in known) else "CPU"
        return [name for name in known if name.startswith(best)]
    for number, name in enumerate(named):
        if name not in known:
            raise TrainingError(
                f"there is no device '{name}'",
                hint="there are: " + ", ".join(known),
                at=("distribute", "devices", number),
            )
    return list(named)
