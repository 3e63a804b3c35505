"""Builds the site, and generates the tables of the reference.

python -m docs.site              builds the site into .site/html
python -m docs.site reference    writes the generated tables of the pages again
"""

import subprocess
import sys
from pathlib import Path

from docs.site.pages import CONFIG, ROOT, SiteError, write_pages


def build() -> int:
    """Build the site into `.site/html`, and return the exit status: 0 if nothing is wrong."""
    try:
        write_pages()
    except SiteError as error:
        print(error, file=sys.stderr)
        return 1
    zensical = Path(sys.executable).with_name("zensical")
    command = [str(zensical), "build", "--clean", "--strict", "--config-file", str(CONFIG)]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def reference() -> int:
    """Write the generated tables again, name the changed pages, and return the exit status 0."""
    from docs.site.reference import update  # imports Prefect, which takes seconds

    for page in update():
        print(f"docs/{page}: written")
    return 0


if __name__ == "__main__":
    sys.exit(reference() if sys.argv[1:] == ["reference"] else build())
