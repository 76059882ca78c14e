"""Commands whose only word is `fold`, with a hint for who leaves it out."""

from typing import Any

import typer
from typer.core import TyperGroup


class _FoldGroup(TyperGroup):
    """Names the whole command where `all`, or the number of a fold, stands in the place of `fold`."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name."""
        found = super().get_command(ctx, cmd_name)
        if found is None and (cmd_name == "all" or cmd_name.isdecimal()):
            ctx.fail(f"No such command '{cmd_name}'. Did you mean 'autodls {ctx.info_name} fold {cmd_name}'?")
        return found


def fold_group(about: str) -> typer.Typer:
    """A group of commands with the help text `about`, for one command `fold`."""
    return typer.Typer(cls=_FoldGroup, no_args_is_help=True, rich_markup_mode=None, help=about)
