"""The verb `completion`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelrecipe.cli.command import Verb, with_screen
from modelrecipe.errors import UsageError

if TYPE_CHECKING:
    from modelrecipe.cli.screen import Screen

_SHELLS = ("bash", "zsh", "fish")


@click.command(cls=Verb)
@click.argument("shell", required=False, type=click.Choice(_SHELLS))
@with_screen
def completion(shell: str | None, *, screen: Screen) -> None:
    """Print the completion script of a shell.

    \b
    bash, in ~/.bashrc:                  eval "$(modelrecipe completion bash)"
    zsh, in ~/.zshrc:                    eval "$(modelrecipe completion zsh)"
    fish, in ~/.config/fish/config.fish: modelrecipe completion fish | source
    """  # noqa: D301 - click knows the character itself, not its escape
    from click.shell_completion import get_completion_class

    shell = shell or Path(os.environ.get("SHELL", "")).name
    found = get_completion_class(shell) if shell in _SHELLS else None
    if found is None:
        raise UsageError("the shell is not known from SHELL", hint="name one of " + ", ".join(_SHELLS))
    program = click.get_current_context().find_root().command
    screen.out(found(program, {}, "modelrecipe", "_MODELRECIPE_COMPLETE").source())
