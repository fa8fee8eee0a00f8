"""What Keras' own layers and operations are: arguments, variables, and whether a configuration fits.

The front door of the catalog. What it says was learnt from one Keras version by `live/catalog_writer.py` and is
committed beside it, so that a plan can say "unknown argument 'filtres' of Conv2D" without Keras. Custom classes are not
in it. Knows neither files of models nor Keras.
"""

from modelrecipe.catalog.config import ConfigProblem, check_config, config_schema
from modelrecipe.catalog.entry import Argument, Entry, find, keras_version, layer_names, operation_names
from modelrecipe.catalog.settings import lora_classes, regularizers, setting_problems, settings
from modelrecipe.catalog.variables import Variable, variables

__all__ = [
    "Argument",
    "ConfigProblem",
    "Entry",
    "Variable",
    "check_config",
    "config_schema",
    "find",
    "keras_version",
    "layer_names",
    "lora_classes",
    "operation_names",
    "regularizers",
    "setting_problems",
    "settings",
    "variables",
]
