"""Names to plug-ins, and specs such as `mbr(utility=chrf)`.

A spec is a name with optional parameters; a parameter is a number, a string (quotes optional for one
word), true, false, none, a [list] or another spec. Which kind a nested spec is follows from the type of
the field. In place of a name a spec may say where a class stands in the user's own code: `mylib.rules:UnitTests` or
`./mine.py:Shortest`. Modules load when first named, so a missing extra hurts nobody who does not use it.
"""

from nbest.registry.names import OTHER_NAMES, PART_OF, TABLES
from nbest.registry.outside import code_name
from nbest.registry.plugins import load, name_of, names, names_plugin, package_of
from nbest.registry.specs import parse, spec_of

__all__ = [
    "OTHER_NAMES",
    "PART_OF",
    "TABLES",
    "code_name",
    "load",
    "name_of",
    "names",
    "names_plugin",
    "package_of",
    "parse",
    "spec_of",
]
