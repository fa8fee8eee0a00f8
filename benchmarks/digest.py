"""Digests a model's content, as a lock holds it: `python -m benchmarks.digest FILE`."""

import sys
from pathlib import Path

from modelrecipe import formats
from modelrecipe.engine.digest import TensorDigests, content_digest

if __name__ == "__main__":
    print(content_digest(formats.read_checkpoint(Path(sys.argv[1])), TensorDigests()))
