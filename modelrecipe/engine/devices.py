"""Devices that a recipe's trainings share: found out before TensorFlow starts, because TensorFlow asks that."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from modelrecipe import measures
from modelrecipe.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelrecipe.recipe import Recipe
    from modelrecipe.steps.train import Train
    from modelrecipe.training.cluster import Cluster
    from modelrecipe.training.settings import Distribution

_WAITING = "MODELRECIPE_WORKERS_TIMEOUT"
_PATIENCE = 300.0
"""Seconds that workers wait for each other."""


@dataclass
class Devices:
    """The devices of a run.

    Args:
        wanted: what the trainings say, in their order.
        word: what workers must have in common.
        cluster: the machines; None without multi_worker, or where TF_CONFIG is not right, which the training refuses.
        strategy: TensorFlow's strategy for several machines, once it is made.
    """

    wanted: tuple[Distribution, ...] = ()
    word: str = ""
    cluster: Cluster | None = None
    strategy: Any = None
    _is_ready: bool = False

    @classmethod
    def of(cls, recipe: Recipe) -> Devices:
        """Those of a recipe."""
        steps = [item.step for item in recipe.steps]
        # `train` alone has it; to import that step would cost every other recipe.
        wanted = tuple(found for step in steps if (found := getattr(step, "distribute", None)) is not None)
        word = blake3(repr([recipe.seed, steps]).encode()).hexdigest()
        devices = cls(wanted=wanted, word=word)
        if devices.is_wide:
            from modelrecipe.training.cluster import cluster_of

            try:
                devices.cluster = cluster_of(os.environ)
            except TrainingError:
                devices.cluster = None
        return devices

    @property
    def is_wide(self) -> bool:
        """Whether several machines work together."""
        return any(item.strategy == "multi_worker" for item in self.wanted)

    @property
    def is_follower(self) -> bool:
        """Whether another machine writes."""
        return self.cluster is not None and not self.cluster.is_chief

    def told(self, train: Train) -> str:
        """What a training is done on, in words.

        Raises:
            TrainingError: the batches cannot be shared; in a run, TF_CONFIG does not name the machines.
        """
        wanted = train.distribute
        if wanted is None:
            return "on one device"
        if wanted.strategy == "mirrored" and wanted.devices is None:
            return "on all devices of this machine"
        if wanted.devices is not None:
            from modelrecipe.training.settings import refuse_batches  # loaded by every training, by nothing else

            refuse_batches(train.batch_size, len(wanted.devices))
            count = measures.counted(len(wanted.devices), "device")
            return f"on {count}: {', '.join(wanted.devices)}"
        if not self.wanted:  # a plan may be made anywhere
            return "on the machines that TF_CONFIG names"
        from modelrecipe.training.cluster import cluster_of

        cluster = cluster_of(os.environ)
        writes = "this one writes" if cluster.is_chief else f"this is number {cluster.index}, which writes nothing"
        return f"on {measures.counted(len(cluster.workers), 'machine')}; {writes}"

    def prepare(self, progress: Callable[[str], None]) -> None:
        """Set TensorFlow up, before anything starts it; where it runs already, trainings refuse what is missing.

        Args:
            progress: told in words what takes time.

        Raises:
            TrainingError: another worker does not come.
        """
        if self._is_ready or not self.wanted:
            return
        self._is_ready = True
        if self.cluster is not None:
            progress(f"waiting for {len(self.cluster.workers)} workers, of which this is number {self.cluster.index}")
            self.cluster.meet(self.word, _patience())
        from modelrecipe.live.training.strategies import prepare

        self.strategy = prepare(self.wanted, self.cluster)


def _patience() -> float:
    text = os.environ.get(_WAITING, "")
    return float(text) if text.replace(".", "", 1).isdecimal() else _PATIENCE
