"""Builds the site: `python -m docs.site build`."""

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


if __name__ == "__main__":
    sys.exit(build())
