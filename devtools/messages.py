"""The Chinese catalogue, without GNU gettext: Babel reads the sources.

    python -m devtools.messages extract    collect the strings into locale/*/LC_MESSAGES/django.po
    python -m devtools.messages compile    .po → .mo, only where the .po is newer
    python -m devtools.messages check      fails on a missing or untranslated string or a wrong placeholder

The msgids are English, so English needs no catalogue. The WeCom sandbox speaks for itself and is left out.
"""

import io
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from babel.messages import extract, mofile, pofile
from babel.messages.catalog import Catalog

from devtools.places import ROOT, fail

LOCALES = ("zh_Hans",)
SOURCES = (
    "scrm", "tenants", "org", "wecom", "contacts", "commerce", "tagging", "content",
    "campaigns", "groups", "handover", "livecodes", "datafiles", "drift", "guides", "insights", "templates",
)  # fmt: skip
LEFT_OUT = ("wecom/sandbox/",)
KEYWORDS: dict[str, Any] = {
    "_": None,
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "lazy": None,  # how modules that need both name gettext_lazy
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
    "npgettext_lazy": ((1, "c"), 2, 3),
}
Found = Iterable[tuple[Any, ...]]  # line, function, its strings, comments of the translators


def collect(root: Path = ROOT) -> Catalog:
    """Every translatable string of the product's Python and templates."""
    catalog = Catalog(project="scrm", charset="utf-8")
    for path in _files(root):
        name = path.relative_to(root).as_posix()
        source = path.read_text(encoding="utf-8")
        if path.suffix == ".py":
            add(
                catalog,
                name,
                extract.extract_python(io.BytesIO(source.encode()), KEYWORDS, ["Translators:"], {}),
            )
        else:
            add(catalog, name, from_template(source, name))
    return catalog


def from_template(source: str, name: str = "template") -> Found:
    """Strings of a Django template.

    Django's `templatize` writes the translated strings as calls of gettext and everything else as X's. Inside
    brackets Python's tokenizer takes those for names, whatever their indentation.
    """
    from django.utils.translation.template import templatize

    code = f"({templatize(source, origin=name)}\n)"
    return extract.extract_python(
        io.BytesIO(code.encode()), KEYWORDS, ["Translators:"], {"encoding": "utf-8"}
    )


def add(catalog: Catalog, name: str, found: Found) -> None:
    for _line, function, strings, comments in found:
        given = strings if isinstance(strings, tuple) else (strings,)
        positions = KEYWORDS[function] or (1,)
        context: str | None = None
        ids: list[Any] = []
        for position in positions:
            if isinstance(position, tuple):
                context = given[position[0] - 1]
            else:
                ids.append(given[position - 1] if position <= len(given) else None)
        if not all(ids):  # an empty string or a variable
            continue
        catalog.add(
            ids[0] if len(ids) == 1 else tuple(ids),
            locations=[(name, 0)],
            auto_comments=comments,
            context=context,
        )


def po_file(locale: str, root: Path = ROOT) -> Path:
    return root / "locale" / locale / "LC_MESSAGES" / "django.po"


def read_po(path: Path, locale: str) -> Catalog:
    """The catalogue at `path`; an empty one where there is none yet."""
    if not path.exists():
        return Catalog(locale=locale, project="scrm", charset="utf-8")
    with path.open("rb") as file:
        return pofile.read_po(file, locale=locale)


def write_catalogs(root: Path = ROOT) -> None:
    """`extract`: bring every .po to the strings of the sources, keeping what is translated."""
    found = collect(root)
    for locale in LOCALES:
        path = po_file(locale, root)
        catalog = read_po(path, locale)
        found.creation_date = catalog.creation_date  # a date that moves each time would only make conflicts
        catalog.update(found, no_fuzzy_matching=True)
        catalog.obsolete.clear()
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            pofile.write_po(file, catalog, sort_output=True, include_lineno=False, width=0)
        untranslated = sum(1 for message in catalog if message.id and not translated(message))
        print(f"{path.relative_to(root)}: {len(catalog)} strings, {untranslated} untranslated")


def compile_catalogs(root: Path = ROOT) -> None:
    """`compile`: write each .mo that is older than its .po."""
    for locale in LOCALES:
        path = po_file(locale, root)
        target = path.with_suffix(".mo")
        if not path.exists() or (target.exists() and target.stat().st_mtime >= path.stat().st_mtime):
            continue
        draft = target.with_suffix(".mo.new")
        with draft.open("wb") as file:
            mofile.write_mo(file, read_po(path, locale))
        draft.replace(target)


def problems(root: Path = ROOT) -> Iterator[str]:
    """`check`: one line per string that keeps the catalogue from being complete and right."""
    found = collect(root)
    for locale in LOCALES:
        path = po_file(locale, root)
        name = path.relative_to(root)
        catalog = read_po(path, locale)
        for message in found:
            kept = catalog.get(message.id, message.context) if message.id else None
            if message.id and kept is None:
                yield f"{name}: missing {_shown(message)} (make messages)"
            elif kept is not None and not translated(kept):
                yield f"{name}: untranslated {_shown(message)}"
        for message, errors in catalog.check():
            for error in errors:
                yield f"{name}: {error} in {_shown(message)}"


def translated(message: Any) -> bool:
    """Whether every plural form has a text."""
    strings = message.string if isinstance(message.string, tuple | list) else (message.string,)
    return bool(strings) and all(strings)


def _shown(message: Any) -> str:
    first = message.id if isinstance(message.id, str) else message.id[0]
    where = message.locations[0][0] if message.locations else "?"
    return f"{first!r} ({where})"


def _files(root: Path) -> Iterator[Path]:
    for source in SOURCES:
        for path in sorted((root / source).rglob("*")):
            name = path.relative_to(root).as_posix()
            if (
                path.suffix not in {".py", ".html", ".txt"}
                or name.startswith(LEFT_OUT)
                or "/migrations/" in name
            ):
                continue
            if path.suffix == ".py" or "templates/" in name:
                yield path


def main(action: str) -> None:
    if action == "extract":
        write_catalogs()
    elif action == "compile":
        compile_catalogs()
    elif action == "check":
        lines = list(problems())
        if lines:
            print("\n".join(lines))
            fail(f"{len(lines)} problems in the catalogues")
    else:
        fail("use extract, compile or check")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
