"""Writes the pages of the site into one folder, so that every link leads to a page of the site."""

import os
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docs.site.markdown import rewrite

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "zensical.toml"
PAGES = ROOT / ".site" / "pages"
"""The folder that `zensical.toml` names as `docs_dir`."""
TOP = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
"""The pages of the site that are files of the repository's top folder."""
_LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".sh": "sh", ".json": "json"}


class SiteError(Exception):
    """A fault in the pages or in the navigation. The message has a line for each."""


def sources() -> dict[str, str]:
    """Return the path in the site of each page, by its path in the repository."""
    docs = {f"docs/{page.name}": page.name for page in sorted((ROOT / "docs").glob("*.md"))}
    return {**TOP, **docs}


def write_pages() -> None:
    """Write all pages, replacing those of the last build.

    Raises:
        SiteError: a link leads nowhere, or a page is not in the navigation.
    """
    shutil.rmtree(PAGES, ignore_errors=True)
    writer = _Writer()
    for source in sources():
        writer.write_page(source)
    for file in writer.linked:
        writer.write_file(file)
    for folder in ("schema", "pictures"):
        shutil.copytree(ROOT / "docs" / folder, PAGES / folder)
    faults = writer.faults + navigation_faults()
    if faults:
        raise SiteError("\n".join(faults))


def navigation() -> list[str]:
    """Return the pages of the navigation in `zensical.toml`, in their order."""
    project = tomllib.loads(CONFIG.read_text(encoding="utf-8"))["project"]
    return list(_leaves(project["nav"]))


def navigation_faults() -> list[str]:
    """Return a line for each page that is not in the navigation, and each entry without a page."""
    pages, listed = set(sources().values()), navigation()
    missing = [f"{page}: is not in the navigation of zensical.toml" for page in pages - {*listed}]
    unknown = [f"zensical.toml: nav: there is no page {page}" for page in {*listed} - pages]
    twice = [f"zensical.toml: nav: {page} is listed twice" for page in _repeated(listed)]
    return sorted(missing + unknown + twice)


def _leaves(entry: Any) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    else:
        for each in entry.values() if isinstance(entry, dict) else entry:
            yield from _leaves(each)


def _repeated(names: list[str]) -> set[str]:
    return {name for name in names if names.count(name) > 1}


class _Writer:
    """Writes pages, and remembers the other files of the repository that they link to."""

    def __init__(self) -> None:
        self.linked: set[Path] = set()
        self.faults: list[str] = []
        self._sources = sources()

    def write_page(self, source: str) -> None:
        page = self._sources[source]
        text = rewrite(
            (ROOT / source).read_text(encoding="utf-8"),
            lambda link: self._target(source, page, link),
        )
        _write(PAGES / page, text)

    def write_file(self, file: Path) -> None:
        """Write a page that shows a file, or all files of a folder."""
        shown = (
            sorted(path for path in file.rglob("*") if path.is_file()) if file.is_dir() else [file]
        )
        parts = [f"# {_relative(file)}\n"]
        for each in shown:
            heading = f"## {each.relative_to(file)}\n\n" if file.is_dir() else ""
            language = _LANGUAGES.get(each.suffix, "text")
            parts.append(f"{heading}````{language}\n{each.read_text(encoding='utf-8')}\n````\n")
        _write(PAGES / _shown_at(file), "\n".join(parts))

    def _target(self, source: str, page: str, link: str) -> str:
        """Return the target in the site of a link on a page."""
        path, hash_sign, anchor = link.partition("#")
        if not path or re.match(r"[a-z]+:", link):
            return link
        file = (ROOT / source).parent.joinpath(path).resolve()
        if not file.exists() or not file.is_relative_to(ROOT):
            self.faults.append(f"{source}: the link {link} leads nowhere")
            return link
        name = _relative(file)
        if name in self._sources:
            target = self._sources[name]
        elif file.is_relative_to(ROOT / "docs"):
            target = file.relative_to(ROOT / "docs").as_posix()
        else:
            self.linked.add(file)
            target = _shown_at(file)
        return os.path.relpath(target, Path(page).parent) + hash_sign + anchor


def _relative(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def _shown_at(file: Path) -> str:
    """Return the path in the site of the page that shows a file or folder of the repository."""
    return f"files/{_relative(file).replace('/', '-')}.md"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
