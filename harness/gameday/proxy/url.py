"""Paths of the API, split into what they say and whom they name."""

from urllib.parse import unquote

__all__ = ["route_words"]


def route_words(path: str) -> tuple[tuple[str, ...], list[str]]:
    """Give the pattern of `path`, with "*" for a proxy or a toxic, and the names behind those."""
    words = path.split("/")[1:]
    names: list[str] = []
    pattern: list[str] = []
    for index, word in enumerate(words):
        if words[0] == "proxies" and index % 2 == 1 and word:
            names.append(unquote(word))
            pattern.append("*")
        else:
            pattern.append(word)
    return tuple(pattern), names
