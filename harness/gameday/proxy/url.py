"""Paths of the API, split into what they say and whom they name."""

from urllib.parse import unquote

__all__ = ["route_words"]

# Below these words, every second one is the name of something.
_NAMING = (("proxies",), ("gameday", "http"), ("gameday", "connections"))


def route_words(path: str) -> tuple[tuple[str, ...], list[str]]:
    """Give the pattern of `path`, with "*" for what has a name, and the names behind those."""
    words = path.split("/")[1:]
    start = next((len(head) for head in _NAMING if tuple(words[: len(head)]) == head), len(words))
    names: list[str] = []
    pattern: list[str] = []
    for index, word in enumerate(words):
        if index >= start and (index - start) % 2 == 0 and word:
            names.append(unquote(word))
            pattern.append("*")
        else:
            pattern.append(word)
    return tuple(pattern), names
