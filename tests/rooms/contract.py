"""An import-linter contract that reads the table of rooms as a person does: "room: rooms it may import"."""

from __future__ import annotations

from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class RoomsContract(Contract):
    """Every import between rooms is in the table, and every room has a line in it.

    `rooms` holds lines such as "recorder: core store"; a room is a part of `loadlab` or a top-level package.
    """

    rooms: Any = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Kept when no module imports from a room that its own room's line does not name."""
        lines = (line.partition(":") for line in self.rooms)
        table = {room.strip(): set(allowed.split()) for room, _, allowed in lines}
        strange = [
            f"{importer} imports {imported}"
            for importer, imported in sorted(_between_rooms(graph))
            if _room(imported) not in table.get(_room(importer), set())
        ]
        return ContractCheck(kept=not strange, metadata={"strange": strange})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Lists the imports that no line allows."""
        for sentence in check.metadata["strange"]:
            output.print_error(f"{sentence}, which the table of rooms in pyproject.toml does not allow.")


def _between_rooms(graph: ImportGraph) -> set[tuple[str, str]]:
    ours: Any = {module for module in graph.modules if not graph.is_module_squashed(module)}
    return {
        (importer, imported)
        for importer in ours
        for imported in graph.find_modules_directly_imported_by(importer)
        if imported in ours and imported != "loadlab" and _room(importer) != _room(imported)
    }


def _room(module: str) -> str:
    root, _, rest = module.partition(".")
    return rest.partition(".")[0] if root == "loadlab" and rest else root
