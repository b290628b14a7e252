"""The documentation: its links lead somewhere, and its generated tables are as the code is."""

import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from gameday.registry import FAULTS

_ROOT = Path(__file__).parents[2]
_PAGES = sorted(
    path
    for folder in (".", "docs", "reports", "targets", "tests")
    for path in (_ROOT / folder).glob("*.md" if folder in (".", "reports") else "**/*.md")
)
_REFERENCE = sorted((_ROOT / "docs" / "reference").rglob("*.md"))
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
_MOST_BYTES = 25_000
_MOST_TERMS = 40


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = spec_from_file_location("generate", _ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _named(path: Path) -> str:
    return str(path.relative_to(_ROOT))


@pytest.mark.parametrize("page", _PAGES, ids=_named)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    broken = []
    for link in _LINK.findall(_CODE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, heading = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (heading and heading not in _headings(target)):
            broken.append(link)
    assert not broken


def _headings(page: Path) -> set[str]:
    """Return what links to the headings of a page are called, as GitHub makes it."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    found = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in found}


@pytest.mark.parametrize("page", _REFERENCE, ids=_named)
def test_every_generated_table_is_as_the_code_is(page: Path, generate: ModuleType) -> None:
    now = generate.written(page)
    assert page.read_text(encoding="utf-8") == now, "stale; run: python docs/generate.py"


@pytest.mark.parametrize("page", _REFERENCE, ids=_named)
def test_every_page_of_the_reference_can_be_read_at_once(page: Path) -> None:
    assert page.stat().st_size < _MOST_BYTES


def test_every_fault_is_described_on_one_page() -> None:
    described = [
        verb
        for page in _REFERENCE
        for verbs in re.findall(r"<!-- generated: faults (.*?) -->", page.read_text("utf-8"))
        for verb in verbs.split()
    ]
    assert sorted(described) == sorted(FAULTS)


def test_the_glossary_has_few_terms_in_their_order() -> None:
    text = (_ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    terms = re.findall(r"^\| (.+?) \|", text, re.MULTILINE)[2:]
    assert len(terms) <= _MOST_TERMS
    assert terms == sorted(terms, key=str.lower)
