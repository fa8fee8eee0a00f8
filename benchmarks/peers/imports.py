"""What any program costs that reads arrays and YAML."""

import numpy  # noqa: F401
import yaml  # noqa: F401
