"""Python modules that a recipe names: nothing of them runs unless the user says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelrecipe.errors import LanguageError

if TYPE_CHECKING:
    from modelrecipe.recipe import Recipe


def require_permission(recipe: Recipe, *, allow_code: bool) -> None:
    """Refuse a recipe that names Python modules unless it may run code.

    Raises:
        LanguageError: it does, and may not.
    """
    if recipe.imports and not allow_code:
        names = ", ".join(f"'{name}'" for name in recipe.imports)
        raise LanguageError(
            f"the recipe runs Python code: it imports {names}", hint="pass --allow-code if you trust it", key="imports"
        )


def import_code(recipe: Recipe, *, allow_code: bool) -> None:
    """Import the modules that the recipe names, those beside the recipe first.

    Raises:
        LanguageError: that is not allowed, or a module cannot be imported.
    """
    require_permission(recipe, allow_code=allow_code)
    if recipe.imports:
        from modelrecipe.live.session import run_imports

        run_imports(recipe.imports, recipe.folder)
