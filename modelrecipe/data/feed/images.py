"""Image files by number, decoded and resized as `keras.utils.image_dataset_from_directory` does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelrecipe.data.feed.rows import structured
from modelrecipe.data.feed.transform import mapped, tensorflow
from modelrecipe.data.kinds import CHANNELS
from modelrecipe.live.session import import_keras

if TYPE_CHECKING:
    from modelrecipe.data.feed.rows import Route
    from modelrecipe.data.kinds import ImageFolder
    from modelrecipe.data.survey import Survey


class ImageRows:
    """The images of a folder and their labels; a file is read when its batch is."""

    def __init__(self, source: ImageFolder, found: Survey) -> None:
        self._source, self._found = source, found
        ((_, files),) = found.stock.roots
        self._paths = [str(path) for path in files]
        has_labels = source.label_mode != "none" and found.stock.read is not None
        self._labels = found.stock.read("y") if has_labels and found.stock.read is not None else None

    def batches(self, route: Route) -> Any:
        """See `Rows.batches`."""
        tf = tensorflow()
        order = route.order()
        parts: dict[str, Any] = {"x": tf.constant([self._paths[number] for number in order], tf.string)}
        if self._labels is not None:
            parts["y"] = self._labels[order]

        def load(part: dict[str, Any]) -> dict[str, Any]:
            return {**part, "x": load_image(part["x"], self._source)}

        data = mapped(tf.data.Dataset.from_tensor_slices(parts), load).batch(route.size, drop_remainder=route.is_even)
        return mapped(data, lambda part: structured(self._found, part), in_parallel=False)


def load_image(path: Any, source: ImageFolder) -> Any:
    """One image, (height, width, channels) as float32 from 0 to 255."""
    tf = tensorflow()
    channels = CHANNELS[source.color_mode]
    image = tf.io.decode_image(tf.io.read_file(path), channels=channels, expand_animations=False)
    if source.crop_to_aspect_ratio:
        crop = import_keras().preprocessing.image.smart_resize
        image = crop(image, source.image_size, interpolation=source.interpolation, data_format="channels_last")
    else:
        image = tf.image.resize(image, source.image_size, method=source.interpolation)
    return tf.cast(tf.ensure_shape(image, (*source.image_size, channels)), tf.float32)
