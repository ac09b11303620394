"""The names of the embedded corpus, for `make_sample.py`: read, dealt to splits, drawn."""

import random
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

Name = dict[str, tuple[str, str]]  # form of a name ("" for the full one): text, entity type
Item = TypeVar("Item")
SOURCE = Path(__file__).parent / "source"
SLOT = re.compile(r"\{([a-z]+)(\d*)(?:\.([a-z]+))?\}")


def read_sections(path: Path) -> dict[str, list[str]]:
    """Return the items of each [section] of a name file.

    Patterns are separated by ";", all other items by ",".
    """
    sections: dict[str, list[str]] = {}
    section = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            separator = ";" if "patterns" in section else ", "
            items = [item.strip().rstrip(",") for item in line.split(separator)]
            sections.setdefault(section, []).extend(item for item in items if item)
    return sections


def read_countries(path: Path) -> list[dict[str, Any]]:
    """Return a dict for each name of each country: split, name, adj, people, cities, regions."""
    countries: list[dict[str, Any]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        split, _, rest = line.rpartition(": ")
        names, adj, people, cities, regions = (field.strip() for field in rest.split(";"))
        countries += [
            {
                "split": split or "train",
                "name": name,
                "adj": adj,
                "people": people,
                "cities": cities.split(", "),
                "regions": regions.split(", "),
            }
            for name in names.split(" / ")
        ]
    return countries


def split_of(name: str, place_split: dict[str, str]) -> str:
    """Return the split that a name belongs to.

    A name that contains a place belongs to the split of that place. For all other names, a
    checksum of the name decides.
    """
    words = name.lower().split()
    for length in range(len(words), 0, -1):
        for start in range(len(words) - length + 1):
            part = " ".join(words[start : start + length])
            if part in place_split:
                return place_split[part]
    return {0: "test", 1: "validation"}.get(zlib.crc32(name.lower().encode()) % 8, "train")


class Deck(Generic[Item]):
    """Items in an endless shuffled order: every item is drawn once before any is drawn again."""

    def __init__(self, items: Iterable[Item], rng: random.Random):
        self.items, self.rng = list(items), rng
        self.remaining: list[Item] = []

    def draw(self) -> Item:
        """Return the next item."""
        if not self.remaining:
            self.remaining = self.items[:]
            self.rng.shuffle(self.remaining)
        return self.remaining.pop()


EMPLOYERS = {  # relative frequency of each kind in a slot that takes any employer
    "company": 9,
    "bank": 2,
    "government": 5,
    "university": 4,
    "media": 3,
    "ngo": 3,
    "place of business": 2,
}
ORGANISATIONS = {*EMPLOYERS, "party", "band", "team", "club", "nickname", "shop", "airline"}
ORGANISATIONS |= {"platform", "newsagency", "hospital", "school", "museum", "union", "police"}
ORGANISATIONS |= {"court"}
COMMON_WORDS = {"place prefix", "place suffix"}  # parts of place names, shared by all splits
MISCELLANEOUS = {"event", "war", "holiday", "work", "law", "product", "award", "language"}
MISCELLANEOUS |= {"belief", "believer", "believers", "software", "gadget", "car"}
SHORT_KINDS = {"gov": "government", "univ": "university", "biz": "place of business"}


class Names:
    """The names of one split. `make` returns a new one."""

    def __init__(self, split: str, rng: random.Random, claimed: set[str]):
        """Read the names of `split`.

        `claimed`: lower-cased names that are written out in frames of other splits; they are
        excluded.
        """
        self.rng = rng
        countries = read_countries(SOURCE / "places.txt")
        place_split: dict[str, str] = {}
        for country in countries:
            for name in [country["name"], country["adj"], *country["cities"], *country["regions"]]:
                place_split.setdefault(name.lower(), country["split"])
        self.countries = Deck([c for c in countries if c["split"] == split], rng)
        by_adjective = {c["adj"]: c for c in self.countries.items}.values()  # each country once
        self.cities = Deck([(city, c) for c in by_adjective for city in c["cities"]], rng)
        self.regions = Deck([(region, c) for c in by_adjective for region in c["regions"]], rng)
        self.lists: dict[str, Deck[str]] = {}
        self.patterns: dict[str, Deck[str]] = {}
        for path in (SOURCE / "people.txt", SOURCE / "organisations.txt", SOURCE / "misc.txt"):
            for section, items in read_sections(path).items():
                kind = section.removesuffix(" patterns")
                if "patterns" in section:
                    self.patterns[kind] = Deck(items, rng)
                    continue
                short = {item.split(" = ")[1] for item in items if " = " in item}
                own_items = [
                    item
                    for item in dict.fromkeys(items)
                    if split_of(item.split(" = ")[0], place_split) == split
                    and item not in short
                    and not claimed & {part.lower() for part in item.split(" = ")}
                ]
                if section in COMMON_WORDS:
                    own_items = items
                self.lists[section] = Deck(own_items, rng)
        self.languages = sorted(
            {s.split()[0] for s in self.lists if s.endswith(" given")} - {"english"}
        )

    def pick(self, items: Sequence[str]) -> str:
        """Return one of the items at random."""
        return items[int(self.rng.random() * len(items))]

    def weighted(self, weights: Mapping[str, float]) -> str:
        """Return one of the keys at random, with the given relative frequencies."""
        remaining = self.rng.random() * sum(weights.values())
        for item, weight in weights.items():
            remaining -= weight
            if remaining < 0:
                return item
        return item

    def person_names(self) -> tuple[str, str]:
        """Return a given name and a surname, usually of the same language."""
        language = "english" if self.rng.random() < 0.42 else self.pick(self.languages)
        of_surname = self.pick(self.languages) if self.rng.random() < 0.08 else language
        given, surname = self.lists[f"{language} given"], self.lists[f"{of_surname} surname"]
        if not given.items or not surname.items:
            return self.person_names()
        return given.draw(), surname.draw()

    def person(self) -> Name:
        """Return a person: full name, first name, last name, with an initial, short."""
        given, surname = self.person_names()
        initial = self.pick("ABCDEFGHJKLMNPRSTW")
        chance = self.rng.random()
        full = f"{given} {surname}"
        if chance < 0.06:
            full = f"{given} {initial}. {surname}"
        elif chance < 0.08:
            full = f"{given[0]}.{initial}. {surname}"
        elif chance < 0.10:
            full = f"{full} Jr."
        elif chance < 0.13 and "-" not in surname:
            full = f"{given} {surname}-{self.person_names()[1].split()[-1]}"
        forms = {"": full, "first": given, "last": surname, "init": f"{given[0]}. {surname}"}
        forms["short"] = given if self.rng.random() < 0.5 else surname
        return {form: (text, "PER") for form, text in forms.items()}

    def of_country(self, country: dict[str, Any], text: str) -> Name:
        """Return a place named `text` with the names that belong to its country."""
        return {
            "": (text, "LOC"),
            "country": (country["name"], "LOC"),
            "adj": (country["adj"], "MISC"),
            "people": (country["people"], "MISC"),
            "city": (self.pick(country["cities"]), "LOC"),
            "capital": (country["cities"][0], "LOC"),
            "region": (self.pick(country["regions"]), "LOC"),
        }

    def country(self) -> Name:
        """Return a country."""
        country = self.countries.draw()
        return self.of_country(country, country["name"])

    def city(self) -> Name:
        """Return a city."""
        city, country = self.cities.draw()
        return self.of_country(country, city)

    def region(self) -> Name:
        """Return a region."""
        region, country = self.regions.draw()
        return self.of_country(country, region)

    def place(self) -> Name:
        """Return a place made of a person's name or a root."""
        core = self.person_names()[1] if self.rng.random() < 0.6 else self.lists["root"].draw()
        core = core.split()[-1].capitalize()
        if self.rng.random() < 0.3:
            text = f"{self.lists['place prefix'].draw()} {core}"
        else:
            text = f"{core} {self.lists['place suffix'].draw()}"
        return {"": (text, "LOC"), "short": (core, "LOC")}

    def loc(self) -> Name:
        """Return a location of any kind."""
        kind = self.weighted({"city": 4, "country": 3, "region": 2, "place": 1.5})
        return getattr(self, kind)()

    def listed(self, kind: str, entity_type: str) -> Name:
        """Return a name from a list, or one made with a pattern, with its short form."""
        patterns, plain = self.patterns.get(kind), self.lists.get(kind)
        share = 0.0 if patterns is None else 0.45
        if plain is None or not plain.items or self.rng.random() < share:
            assert patterns is not None, f"{kind}: neither names nor patterns"
            item = self.fill(patterns.draw())
        else:
            item = plain.draw()
        text, _, short = item.partition(" = ")
        return {"": (text, entity_type), "short": (short or text, entity_type)}

    def fill(self, pattern: str) -> str:
        """Return a pattern with its slots filled, with equal values in its full and short form."""
        full, _, short = pattern.partition(" = ")

        def value_of(match: re.Match[str]) -> str:
            kind = match.group(1)
            if kind == "city":
                return self.cities.draw()[0]
            if kind == "country":
                return self.countries.draw()["name"]
            if kind == "region":
                return self.regions.draw()[0].removeprefix("the ")
            if kind in ("surname", "given"):
                return self.person_names()[kind == "surname"]
            return self.lists[kind].draw()

        shared: dict[str, str] = {}

        def shared_value_of(match: re.Match[str]) -> str:
            if match.group(0) in short:
                shared.setdefault(match.group(0), value_of(match))
                return shared[match.group(0)]
            return value_of(match)

        full = SLOT.sub(shared_value_of, full)
        return f"{full} = {SLOT.sub(shared_value_of, short)}" if short else full

    def make(self, kind: str) -> Name:
        """Return a new name for a slot. Raises ValueError for an unknown kind of slot."""
        if kind == "per":
            return self.person()
        if kind in ("first", "last"):
            return {"": self.person()[kind]}
        if kind in ("man", "woman"):
            return {"": (self.lists[kind].draw(), "PER")}
        if kind in ("city", "country", "region", "place", "loc"):
            return getattr(self, kind)()
        if kind == "org":
            return self.listed(self.weighted(EMPLOYERS), "ORG")
        kind = SHORT_KINDS.get(kind, kind)
        if kind in ORGANISATIONS:
            return self.listed(kind, "ORG")
        if kind in MISCELLANEOUS:
            return self.listed(kind, "MISC")
        raise ValueError(f"{{{kind}}}: unknown slot in a frame")
