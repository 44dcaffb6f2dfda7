"""Names of files that come from names of other things: of tests, of models, of paths."""

from __future__ import annotations

import hashlib
import re
import unicodedata

_UNSAFE = re.compile(r"[^\w.,=+@ \[\]-]")
_PARAMETERS = re.compile(r"\[.*\]$", re.DOTALL)
_LONGEST_NAME = 150  # bytes; file systems end at 255, and a temporary name is longer
# what begins like a key and has a run of digits and letters: no name of a file may give it away
_KEY = re.compile(
    r"(?<![A-Za-z0-9])(?:sk-|ek_|gh[pousr]_|github_pat_|gl[a-z]{2,5}-|AKIA|ASIA|xox[a-z]-|xapp-|AIza|GOCSPX-|ya29\.|"
    r"[rs]k_live_|hf_|gsk_|xai-|SG\.|npm_|pypi-|eyJ)"
    r"(?=[\w.-]*?(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{12,})[\w.-]{12,}"
)
_HASHED = re.compile(r"(.+)-[0-9a-f]{8}", re.DOTALL)


def file_name(name: str) -> str:
    """Return ``name`` where it is a plain file name; another gets a part of its hash, so that no two names meet."""
    plain = _UNSAFE.sub("-", _KEY.sub("REDACTED", name))
    encoded = plain.encode("utf-8", "replace")
    is_plain = plain == name and name.strip(". ") == name and _is_one_everywhere(name)
    if is_plain and len(encoded) <= _LONGEST_NAME:
        return name
    shortened = encoded[:_LONGEST_NAME].decode("utf-8", "ignore").strip(". ")
    return f"{shortened}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def may_be_of(file: str, name: str) -> bool:
    """Tell whether ``file`` can be the `file_name` of the test function ``name``, with or without parameters."""
    if file == name or file.startswith(f"{name}["):
        return True
    hashed = _HASHED.fullmatch(file)
    return hashed is not None and (file_name(name) == file or (len(hashed[1]) > 40 and name.startswith(hashed[1])))


def _is_one_everywhere(name: str) -> bool:
    """Tell whether no other parameters make the same name where cases or compositions of letters are not told apart."""
    found = _PARAMETERS.search(name)
    parameters = found[0] if found else ""
    return parameters == unicodedata.normalize("NFC", parameters).casefold()
