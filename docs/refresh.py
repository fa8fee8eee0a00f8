"""Put what the commands of the README really print into it, and draw the picture of a run.

    python docs/refresh.py            # runs them in a copy of `recipes/`, so nothing is left behind
    python docs/refresh.py --check    # changes nothing, names what is stale

Durations differ from run to run: where nothing else does, the old text and the old picture stay.
"""

from __future__ import annotations

import argparse
import html
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PICTURE = ROOT / "docs" / "run.svg"
PICTURED = "modelrecipe run recipes/quickstart.yaml"
WIDTH = 80

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_SHOWN = re.compile(r"^\$ (modelrecipe .*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
_FONTS = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)
_SVG_PART = re.compile(r'<text class="run-r\d+"[^>]*?\by="([\d.]+)"[^>]*>(.*?)</text>')


def run(command: str, folder: Path, *, color: bool = False) -> str:
    """What a command leaves on a terminal of 80 columns: its output and its errors, but no progress, which vanishes."""
    words = shlex.split(command)
    environment = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR")}
    environment |= {"COLUMNS": str(WIDTH), "PYTHONIOENCODING": "utf-8", "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment |= {"FORCE_COLOR": "1"} if color else {}
    done = subprocess.run(
        [sys.executable, "-c", "from modelrecipe.cli import main; main()", *words[1:], "--quiet"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    return done.stdout


def workplace(folder: Path) -> Path:
    """A copy of what the commands read."""
    shutil.copytree(ROOT / "recipes", folder / "recipes", ignore=shutil.ignore_patterns("out", "__pycache__"))
    return folder


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Each command of this program in the console blocks of a Markdown text, with what the block shows below it."""
    for block in _BLOCK.finditer(text):
        yield from _SHOWN.findall(block.group(1))


def without_times(text: str) -> str:
    """The text with durations left out, and with them the width of their column."""
    text = re.sub(r"[ \t]+\d+\.\d+ s$", "", text, flags=re.MULTILINE)
    text = re.sub(r"\bin \d+(\.\d+)? s\b", "in 0 s", text)
    return "\n".join(line.rstrip() for line in text.splitlines()).strip() + "\n"


def refreshed(text: str, folder: Path) -> str:
    """A Markdown text with the output of its commands as it is now."""

    def fresh(found: re.Match[str]) -> str:
        command, shown = found.groups()
        now = run(command, folder)
        return found.group() if without_times(shown) == without_times(now) else f"$ {command}\n{now}"

    return _BLOCK.sub(lambda block: f"```console\n{_SHOWN.sub(fresh, block.group(1))}```", text)


def picture(folder: Path) -> str:
    """The run of the quick start as an SVG that needs no font from elsewhere."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text(f"$ {PICTURED}", style="bold"))
    console.print(Text.from_ansi(run(PICTURED, folder, color=True)), end="")
    drawn = console.export_svg(title="modelrecipe", unique_id="run")
    return _FONTS.sub("", drawn) + "\n"


def words_of(drawn: str) -> str:
    """The text that a picture shows, line by line, with every space left out: it draws none between two styles."""
    lines: dict[float, str] = {}
    for y, part in _SVG_PART.findall(drawn):
        lines[float(y)] = lines.get(float(y), "") + html.unescape(part).replace("\xa0", " ")
    return squeezed("".join(f"{lines[y]}\n" for y in sorted(lines)))


def squeezed(text: str) -> str:
    """The text without durations, spaces and empty lines."""
    lines = [re.sub(r"\s", "", line) for line in without_times(text).splitlines()]
    return "".join(f"{line}\n" for line in lines if line)


def fresh_files() -> Iterator[tuple[Path, str]]:
    """Each file with the text that it should have."""
    text = README.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="modelrecipe-") as name:
        yield README, refreshed(text, workplace(Path(name)))
    with tempfile.TemporaryDirectory(prefix="modelrecipe-") as name:
        drawn = picture(workplace(Path(name)))
    old = PICTURE.read_text(encoding="utf-8") if PICTURE.exists() else ""
    yield PICTURE, old if words_of(old) == words_of(drawn) else drawn


def main() -> int:
    """Write what is stale, or name it."""
    parser = argparse.ArgumentParser(description="Refresh the outputs in the README and the picture of a run.")
    parser.add_argument("--check", action="store_true", help="change nothing, fail when something is stale")
    is_check = parser.parse_args().check
    stale = False
    for path, text in fresh_files():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale = True
        if not is_check:
            path.write_text(text, encoding="utf-8")
        print(f"{path.relative_to(ROOT)}: {'stale' if is_check else 'written'}")
    return 1 if stale and is_check else 0


if __name__ == "__main__":
    sys.exit(main())
