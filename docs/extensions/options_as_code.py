"""Options in the text of docstrings become code; `--` would be shown as a dash otherwise."""

import re


def options_as_code(text: str) -> str:
    """The text with backticks around options that have none."""
    return re.sub(r"(?<![`\w-])--[a-z]\w*", r"`\g<0>`", text)
