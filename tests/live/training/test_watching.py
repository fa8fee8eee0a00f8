from __future__ import annotations

import keras
import pytest

from modelrecipe.live.training.watching import Watch

LOSSES = [1.0, 0.8, 0.9, 0.85, 0.7, 0.75, 0.72, 0.71, 0.73]


@pytest.mark.parametrize("patience", [0, 1, 2, 3, 9])
@pytest.mark.parametrize("min_delta", [0.0, 0.15])
def test_it_stops_where_keras_stops(patience: int, min_delta: float):
    peer = keras.callbacks.EarlyStopping(monitor="val_loss", patience=patience, min_delta=min_delta)
    peer.set_model(keras.Sequential())
    peer.model.stop_training = False
    peer.on_train_begin()
    watch = Watch(monitor="val_loss", min_delta=min_delta)
    for number, loss in enumerate(LOSSES):
        peer.on_epoch_end(number, {"val_loss": loss})
        is_best = watch.see(number + 1, {"val_loss": loss})
        assert (not is_best and watch.has_waited(patience)) == peer.model.stop_training
        if peer.model.stop_training:
            break


def test_no_number_is_never_the_best():
    watch = Watch(monitor="loss")
    assert not watch.see(1, {"loss": float("nan")})
    assert watch.see(2, {"loss": 3.0})
    assert (watch.best, watch.epoch) == (3.0, 2)


def test_of_accuracy_more_is_better():
    watch = Watch(monitor="val_accuracy")
    assert [watch.see(n, {"val_accuracy": value}) for n, value in enumerate([0.5, 0.4, 0.6])] == [True, False, True]
