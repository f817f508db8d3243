"""The licences of the installed run-time packages are those that `docs/security.md` lists."""

import re
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PERMISSIVE = r"\b(MIT|BSD|0BSD|Apache|Apache-2\.0|PSF|Python Software Foundation)\b"


def _licence(name: str) -> str:
    package = metadata(name)
    classifiers = [classifier for classifier in package.get_all("Classifier") or [] if classifier.startswith("License")]
    output = [*(package.get_all("License-Expression") or classifiers or package.get_all("License") or [])]
    return " ".join(output)[:100]


def test_every_licence_that_asks_for_more_is_named() -> None:
    listed = (ROOT / "docs/security.md").read_text().partition("## Dependencies")[2]
    pinned = {
        name
        for lock in ("runtime.txt", "image.txt")
        for name in re.findall(r"^([\w.-]+)(?:\[[\w,]+\])?==", (ROOT / "requirements" / lock).read_text(), re.MULTILINE)
    }
    looked = 0
    for name in sorted(pinned):
        try:
            output = _licence(name)
        except PackageNotFoundError:  # of the image alone, or of another system
            continue
        looked += 1
        plain = re.search(PERMISSIVE, output) and not re.search(r"GPL|MPL|Mozilla|General Public|EUPL", output)
        assert plain or f"`{name}`" in listed, (
            f"{name} is under {output!r}: say so in docs/security.md, or do without it"
        )
    assert looked > 50
