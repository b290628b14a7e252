r"""Text that others wrote, made safe to show: in a terminal, a log of a CI, XML or a file name.

Titles, names, log lines and the errors of services may hold anything. What a terminal would obey
(control characters, escape sequences), what would turn a line around (bidirectional overrides),
what XML cannot hold and what a CI would take for a command of its own is written out: "\x1b[31m".
Files that keep the evidence, such as the journal, hold the text itself, as JSON.
"""

import re
import unicodedata

__all__ = ["file_name", "one_line", "printable"]

_COMMANDS = (
    "add-mask|add-matcher|add-path|debug|echo|endgroup|error|group|notice|remove-matcher|"
    "save-state|set-env|set-output|stop-commands|warning"
)
# "::error::", "::error file=a.py::" anywhere, and "::anything::" where a line or a word begins.
_GITHUB = re.compile(rf"::(?=(?:{_COMMANDS})\b)|(?<![\w:]):(?=:[A-Za-z][^\n]*?::)", re.IGNORECASE)
# "##vso[task.setvariable]", "##[error]", "##teamcity[...]": obeyed anywhere in a line.
_OTHERS = re.compile(r"#(?=#(?:vso|teamcity)?\[)", re.IGNORECASE)
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f]")
_LONGEST_NAME_BYTES = 180
_NOT_IN_NAMES = re.compile(r"[^\w.,=+@%~-]")


def one_line(text: str) -> str:
    """Return `text` on one line, safe to show, each run of blanks and controls as one space."""
    if not text.isprintable():
        text = _CONTROLS.sub(" ", text)
    return printable(" ".join(text.split()))


def printable(text: str) -> str:
    """Return `text` with its lines and blanks, and nothing in it that acts on who shows it."""
    if not text.replace("\n", "").isprintable():
        text = "".join(map(_shown, text))
    if "::" in text:
        text = _GITHUB.sub(lambda match: r"\x3a" + match[0][1:], text)
    return _OTHERS.sub(r"\\x23", text) if "##" in text else text


def file_name(text: str) -> str:
    """Return `text` as a part of a file name that every file system and artefact store takes."""
    name = _NOT_IN_NAMES.sub("_", unicodedata.normalize("NFC", text))
    return name.encode("utf-8", "replace")[:_LONGEST_NAME_BYTES].decode("utf-8", "ignore")


def _shown(character: str) -> str:
    if character == "\n" or character.isprintable():
        return character
    if character.isspace():
        return " "
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
