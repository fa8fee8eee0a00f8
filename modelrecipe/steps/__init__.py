"""The built-in steps: one YAML word, one file. The order is that of the documentation."""

from modelrecipe.step import Step
from modelrecipe.steps.check import Check
from modelrecipe.steps.freeze import Freeze
from modelrecipe.steps.insert import Insert
from modelrecipe.steps.load import Load
from modelrecipe.steps.remove import Remove
from modelrecipe.steps.rename import Rename
from modelrecipe.steps.replace import Replace
from modelrecipe.steps.rescale import Rescale
from modelrecipe.steps.save import Save
from modelrecipe.steps.unfreeze import Unfreeze

BUILT_IN: tuple[type[Step], ...] = (Load, Replace, Insert, Remove, Rename, Rescale, Freeze, Unfreeze, Check, Save)
