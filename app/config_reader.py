"""Reads the tables of a configuration file, and collects every reason for refusal instead of stopping at the first."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason for refusal: the field's path, what was found there, and what is allowed."""

    field: str
    found: str
    allowed: str

    def __str__(self) -> str:
        return f"{self.field}: found {self.found}; allowed is {self.allowed}"


class Table:
    """One table of the file. Each method returns a usable value; where it is the default, a finding may say why."""

    def __init__(self, name: str, values: Mapping[str, object], findings: list[Finding]) -> None:
        self._name = name
        self._values = dict(values)
        self._findings = findings
        self._asked = set[str]()

    def refuse(self, key: str, found: str, allowed: str) -> None:
        where = f"{self._name}.{key}" if self._name else key
        self._findings.append(Finding(where, found, allowed))

    def table(self, key: str) -> "Table":
        """Return a table inside this one; an empty one where it is missing."""
        name = f"{self._name}.{key}" if self._name else key
        value = self._take(key, {})
        if not isinstance(value, dict):
            self.refuse(key, shown(value), "a table")
            value = {}
        return Table(name, value, self._findings)

    def has(self, key: str) -> bool:
        return key in self._values

    def whole(self, key: str, default: int, least: int, most: int) -> int:
        """Read a whole number in [least, most]."""
        value = self._take(key, default)
        allowed = f"a whole number from {least} to {most}"
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self.refuse(key, shown(value), allowed)
            return default
        return value

    def seconds(self, key: str, default: float, least: float, most: float) -> float:
        """Read a number of seconds in [least, most]."""
        value = self._take(key, default)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not least <= float(str(value)) <= most:
            self.refuse(key, shown(value), f"seconds from {least:g} to {most:g}")
            return default
        return float(str(value))

    def choice(self, key: str, options: tuple[str, ...], default: str | None = None) -> str:
        """Read one of some words; without a default it must be there."""
        value = self._take(key, default)
        if value not in options:
            self.refuse(key, shown(value), "one of " + ", ".join(options))
            return options[0]
        return str(value)

    def text(self, key: str, pattern: str, allowed: str, default: str | None = None) -> str:
        """Read text that fits a pattern as a whole; without a default it must be there."""
        value = self._take(key, default)
        if value == default and default is not None:
            return default
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            self.refuse(key, shown(value), allowed)
            return default or ""
        return value

    def parsed(self, key: str, read: Callable[[str], T], allowed: str, default: T) -> T:
        """Read text by a function that raises ValueError (or a kind of it) where it is not what it should be."""
        value = self._take(key, None)
        if value is None:
            return default
        return self._read(key, value, read, allowed, default)

    def several(self, key: str, read: Callable[[str], T], allowed: str, most: int) -> tuple[T, ...]:
        """Read a list of at most so many texts."""
        values = self._take(key, [])
        if not isinstance(values, list) or len(values) > most:
            self.refuse(key, shown(values), f"a list of at most {most}: {allowed}")
            return ()
        read_ones = [
            self._read(f"{key}[{at}]", value, read, allowed, None)
            for at, value in enumerate(values)
        ]
        return tuple(value for value in read_ones if value is not None)

    def host(self, key: str, default: str = "127.0.0.1") -> str:
        """Read an address to listen on; the loopback one unless the file says otherwise."""
        return self.parsed(
            key, lambda text: str(ip_address(text)), "an IP address of this machine", default
        )

    def path(self, key: str, folder: Path, default: str) -> Path:
        """Read a path; a relative one is relative to `folder`."""
        value = self._take(key, default)
        if not isinstance(value, str) or not value or "\0" in value:
            self.refuse(key, shown(value), "a path")
            value = default
        return (folder / Path(value).expanduser()).resolve()

    def end(self) -> None:
        """Refuse every field that nobody asked for: a name with a slip of the pen sets nothing."""
        known = ", ".join(sorted(self._asked))
        for key in self._values:
            if key not in self._asked:
                self.refuse(key, "a field that is not known", f"one of {known}")

    def _take(self, key: str, default: object) -> object:
        self._asked.add(key)
        return self._values.get(key, default)

    def _read(
        self, key: str, value: object, read: Callable[[str], T], allowed: str, default: T
    ) -> T:
        try:
            if isinstance(value, str):
                return read(value)
        except ValueError:
            pass
        self.refuse(key, shown(value), allowed)
        return default


def shown(value: object) -> str:
    """Return a value as a person is shown it, cut short; nothing is there where it is None."""
    if value is None:
        return "nothing"
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
