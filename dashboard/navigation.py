"""Where each page stands in the navigation. Knows titles and groups, no page.

A page says its GROUP; one that does not is placed by its title. Inside a group the order is the one below.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

GROUPS = {
    "Monitor": ("Overview", "Live"),
    "Analyse": (
        "Throughput vs latency", "Compare", "Vendors", "Regressions", "Capacity", "Cost", "Hardware",
    ),
    "Operate": ("Gates", "Runs", "Targets", "Settings"),
    "Help": ("Glossary",),
}  # fmt: skip
_OF_TITLE = {title: group for group, titles in GROUPS.items() for title in titles}
_PLACE = {title: place for place, title in enumerate(_OF_TITLE)}


def grouped(pages: Iterable[Any]) -> dict[str, list[Any]]:
    """The pages with an address of their own, group by group in order; an unknown one comes last."""
    found: dict[str, list[Any]] = {group: [] for group in GROUPS}
    for page in sorted(pages, key=lambda page: _PLACE.get(page.TITLE, len(_PLACE))):
        if "<" not in page.PATH:
            found.setdefault(group_of(page), []).append(page)
    return {group: members for group, members in found.items() if members}


def group_of(page: Any) -> str:
    """The group a page names, else that of its title, else "Analyse"."""
    return str(getattr(page, "GROUP", _OF_TITLE.get(page.TITLE, "Analyse")))
