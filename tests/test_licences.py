from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from scripts import licences

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("expression", "permissive"),
    [
        ("MIT", True),
        ("Apache-2.0 WITH LLVM-exception AND MIT", True),
        ("GPL-3.0-only OR MIT", True),
        ("GPL-2.0-or-later", False),
        ("LGPL-2.1-or-later", False),
        ("MIT AND AGPL-3.0-only", False),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", False),
        ("Some Words of Our Own", False),
    ],
)
def test_one_permissive_choice_is_enough(expression: str, permissive: bool) -> None:
    assert licences.is_permissive(expression) is permissive


def test_the_page_is_up_to_date_and_has_no_copyleft_package() -> None:
    command = [sys.executable, "scripts/licences.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert not re.search(r"GPL-|Unidecode|pyppmd", licences.DOCUMENT.read_text("utf-8"))


def test_a_package_under_the_gpl_fails_the_check(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    info = tmp_path / "copyleft_made_up-1.0.dist-info"
    info.mkdir()
    info.joinpath("METADATA").write_text(
        "Metadata-Version: 2.1\nName: copyleft-made-up\nVersion: 1.0\n"
        "Classifier: License :: OSI Approved :: GNU General Public License v2 or later (GPLv2+)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(licences, "locked", lambda: {"copyleft-made-up": "1.0", "requests": "2"})
    _, faults = licences.report()
    assert len(faults) == 1
    assert faults[0].startswith("copyleft-made-up is under GNU General Public License v2")


@pytest.mark.parametrize("name", ["requirements", "requirements-cuda", "requirements-tools"])
def test_every_locked_package_has_hashes(name: str) -> None:
    text = (ROOT / f"{name}.lock").read_text("utf-8")
    entries = re.split(r"^(?=[A-Za-z])", text, flags=re.MULTILINE)[1:]
    assert len(entries) > 15
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []
