"""Text in at most 80 columns of a terminal, where a character may take none, one or two."""

from rich.cells import cell_len, chop_cells

COLUMNS = 80


def wrap(text: str, first: str = "", rest: str | None = None) -> str:
    """``text`` in lines of at most 80 columns; ``first`` begins the first line, ``rest`` (or blanks) the others.

    Words are kept whole where they fit; a word wider than a line is cut.
    """
    rest = " " * cell_len(first) if rest is None else rest
    lines: list[str] = []
    line, empty = first, True
    for word in text.split():
        gap = "" if empty else " "
        if cell_len(line + gap + word) <= COLUMNS:
            line, empty = line + gap + word, False
            continue
        if not empty:
            lines.append(line)
            line, empty = rest, True
        for piece in chop_cells(word, COLUMNS - max(cell_len(first), cell_len(rest))):
            if not empty:
                lines.append(line)
                line = rest
            line, empty = line + piece, False
    lines.append(line)
    return "\n".join(part.rstrip() for part in lines)


def centred(text: str) -> str:
    """Each line of the wrapped text in the middle of 80 columns."""
    return "\n".join(" " * ((COLUMNS - cell_len(line)) // 2) + line for line in wrap(text, "").splitlines() if line)
