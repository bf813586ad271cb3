"""nextcord, imported without the warnings of what it imports itself, and its types by short names.

Its older version uses pkg_resources and audioop, and Python says so at every start.
"""

import warnings
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import nextcord
    from nextcord.ext import commands

Asked = nextcord.Interaction[nextcord.Client]
"""Something that a person did, and waits for an answer to."""
Json = dict[str, Any]

__all__ = ["Asked", "Json", "commands", "nextcord"]
