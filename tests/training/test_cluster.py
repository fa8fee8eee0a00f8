"""Machines that train together: how they are named, and how they meet."""

from __future__ import annotations

import json
import socket
import threading

import pytest

from modelrecipe.errors import TrainingError
from modelrecipe.training.cluster import Cluster, cluster_of

EXAMPLE = (
    '; on the first machine, as TF_CONFIG=\'{"cluster": {"worker": ["ada:2222", "bob:2222"]}, '
    '"task": {"type": "worker", "index": 0}}\', with index 1 on the second'
)
TWO = ["ada:1", "bob:2"]


def config(cluster: object, kind: object = "worker", index: object = 0) -> str:
    return json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as door:
        return door.getsockname()[1]


def pair() -> tuple[Cluster, Cluster]:
    workers = (f"127.0.0.1:{free_port()}", "127.0.0.1:9")
    return Cluster(workers=workers, index=0), Cluster(workers=workers, index=1)


def meet(words: tuple[str, str], seconds: float = 20) -> list[str | None]:
    """What each of two workers is refused with."""
    said: list[str | None] = [None, None]

    def one(cluster: Cluster) -> None:
        try:
            cluster.meet(words[cluster.index], seconds)
        except TrainingError as error:
            said[cluster.index] = str(error)

    threads = [threading.Thread(target=one, args=(cluster,)) for cluster in pair()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return said


def test_the_first_worker_writes() -> None:
    assert cluster_of({"TF_CONFIG": config({"worker": TWO})}) == Cluster(workers=("ada:1", "bob:2"), index=0)
    assert cluster_of({"TF_CONFIG": config({"worker": TWO})}).is_chief
    assert not cluster_of({"TF_CONFIG": config({"worker": TWO}, index=1)}).is_chief


def test_a_chief_comes_before_the_workers() -> None:
    found = cluster_of({"TF_CONFIG": config({"worker": TWO, "chief": ["eve:3"]}, index=1)})

    assert found == Cluster(workers=("eve:3", "ada:1", "bob:2"), index=2, has_chief=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "multi_worker needs the machines in TF_CONFIG, which is not set"),
        ("", "multi_worker needs the machines in TF_CONFIG, which is not set"),
        ("{", "TF_CONFIG is no JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("[]", "TF_CONFIG needs 'cluster' and 'task'"),
        ('{"cluster": {}}', "TF_CONFIG needs 'cluster' and 'task'"),
        (config({"worker": []}), "TF_CONFIG lists no addresses for 'worker'"),
        (config({"worker": ["ada"]}), "TF_CONFIG names the worker \"ada\", which is no 'host:port'"),
        (config({"worker": ["ada:99999"]}), "TF_CONFIG names the worker \"ada:99999\", which is no 'host:port'"),
        (config({"worker": [7]}), "TF_CONFIG names the worker 7, which is no 'host:port'"),
        (config({"worker": TWO}, index=2), "TF_CONFIG has no 'worker' 2, which its 'task' says this is"),
        (config({"worker": TWO}, index="0"), "TF_CONFIG has no 'worker' 0, which its 'task' says this is"),
        (config({"worker": TWO}, index=True), "TF_CONFIG has no 'worker' True, which its 'task' says this is"),
        (config({"worker": TWO}, kind="chief"), "TF_CONFIG has no 'chief' 0, which its 'task' says this is"),
        (config({"worker": TWO}, kind=[]), "TF_CONFIG has no '[]' 0, which its 'task' says this is"),
        (
            config({"worker": TWO, "ps": ["eve:3"]}),
            "TF_CONFIG names a 'ps', but multi_worker knows 'chief' and 'worker' alone",
        ),
        (config({"worker": ["ada:1", "ada:1"]}), "TF_CONFIG names a machine twice, or two chiefs"),
    ],
)
def test_what_names_no_machines_is_refused(text: str | None, said: str) -> None:
    with pytest.raises(TrainingError) as refused:
        cluster_of({} if text is None else {"TF_CONFIG": text})

    assert str(refused.value) == said + EXAMPLE


def test_workers_with_one_recipe_meet() -> None:
    assert meet(("same", "same")) == [None, None]


def test_a_worker_alone_waits_for_nobody() -> None:
    Cluster(workers=("127.0.0.1:9",), index=0).meet("word", 0)


def test_workers_with_different_recipes_are_refused() -> None:
    hint = "runs another recipe, or has another seed; give all machines the same files"

    assert meet(("one", "other")) == [f"worker 1 {hint}", f"worker 0 {hint}"]


@pytest.mark.parametrize(("index", "missing"), [(0, "1 ('127.0.0.1:9')"), (1, "0 ('127.0.0.1:{port}')")])
def test_a_worker_that_does_not_come_is_named(index: int, missing: str) -> None:
    cluster = pair()[index]
    with pytest.raises(TrainingError) as refused:
        cluster.meet("word", 0.3)

    port = cluster.workers[0].rpartition(":")[2]
    assert str(refused.value) == (
        f"worker {missing.format(port=port)} does not answer for 0.3 s; "
        "start 'modelrecipe run' on every machine that TF_CONFIG names"
    )


def test_a_port_that_is_taken_is_refused() -> None:
    cluster, _ = pair()
    with (
        socket.create_server(("", int(cluster.workers[0].rpartition(":")[2]))),
        pytest.raises(TrainingError) as refused,
    ):
        cluster.meet("word", 1)

    assert str(refused.value) == (
        f"this worker cannot listen at '{cluster.workers[0]}': Address already in use; "
        "choose another port in TF_CONFIG, on all machines"
    )


def test_a_guest_that_is_no_worker_does_no_harm() -> None:
    first, second = pair()
    host, _, port = first.workers[0].rpartition(":")
    thread = threading.Thread(target=first.meet, args=("word", 20))
    thread.start()
    for noise in (b"GET / HTTP/1.1\r\n\r\n", b"[]", b'{"index": 7, "word": "word"}', b'{"index": 0, "word": "word"}'):
        while True:
            try:
                with socket.create_connection((host, int(port)), timeout=1) as door:
                    door.sendall(noise)
                break
            except OSError:
                continue
    second.meet("word", 20)
    thread.join(20)

    assert not thread.is_alive()
