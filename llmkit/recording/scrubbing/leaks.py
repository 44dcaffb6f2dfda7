"""What looks like a secret in what is about to be written, though nothing named it: the run fails, nothing is written.

Found are keys by their known formats, wherever they stand, also split over the events of a stream, and values of high
entropy where a name says credential (``api_key = …``, a header, a query key, a field). A leak tells where it is and the
digest by which it can be allowed; it never holds the secret.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from llmkit.recording.interaction import Headers, Interaction
from llmkit.recording.scrubbing import deltas
from llmkit.recording.scrubbing.credential_places import is_credential_name
from llmkit.recording.scrubbing.disguises import unescaped
from llmkit.recording.scrubbing.scrub import REDACTED, body_text, decompressed

CREDENTIAL = "credential"
"""The kind of a leak that is known by its place and its entropy."""

_SHORTEST = 16
_LEAST_ENTROPY = 3.0

# a key begins a word; in JSON or a URL, the escape of a line break or a sign may stand before it
_BEGIN = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrtbf])|(?<=\\u[\dA-Fa-f]{4})|(?<=%[\dA-Fa-f]{2}))"
# the block of a private key: line breaks may be escaped, and headers stand before what is encrypted. A chat shows it
# as a quotation, as the lines of a string, with numbers before its lines
_PEM = (
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----(?>(?:\\[nrt]|[^\w+/=-]|\d{1,5}(?![\w+/=])|\+(?=[\s\\\"']))*)"
    r"((?:(?:Proc-Type|Version|Comment|Hash):|[A-Za-z0-9+/=]{16})(?:[^-\"]|-(?!----))*(?:-----END [A-Z0-9 ]*-----)?)"
)


@dataclass(frozen=True, slots=True)
class _Shape:
    """The format of a key: a text that each one has, its pattern with what is random as its group.

    ``is_wordlike`` if hyphenated words can have that format too.
    """

    kind: str
    hint: str
    pattern: re.Pattern[str]
    is_wordlike: bool = False


def _shape(kind: str, hint: str, pattern: str, *, is_wordlike: bool = False) -> _Shape:
    return _Shape(kind, hint, re.compile(_BEGIN + pattern, re.ASCII), is_wordlike)


_SHAPES = (
    _shape("private key", "PRIVATE KEY", _PEM),
    _shape("Anthropic key sk-ant-…", "sk-ant-", r"sk-ant-([\w-]{12,})"),
    _shape("OpenAI key sk-proj-…", "sk-proj-", r"sk-proj-([\w-]{12,})"),
    _shape("OpenAI key sk-…", "sk-", r"sk-(?!ant-|proj-)([\w-]{16,})", is_wordlike=True),
    _shape("OpenAI client secret ek_…", "ek_", r"ek_(\w{16,})", is_wordlike=True),
    _shape("GitHub token gh…_…", "gh", r"gh[pousr]_(\w{16,})"),
    _shape("GitHub token github_pat_…", "github_pat_", r"github_pat_(\w{16,})"),
    _shape("GitLab token gl…-…", "gl", r"gl(?:pat|agent|cbt|dt|ft|imt|oas|ptt|rt|soat)-([\w-]{12,}(?:\.[\w-]+)*)"),
    _shape("AWS key id", "A", r"(?:AKIA|ASIA)([A-Z0-9]{16})(?![A-Za-z0-9])"),
    _shape("Slack token xox…-…", "xox", r"xox[abceoprs]-([\w-]{10,})"),
    _shape("Slack token xapp-…", "xapp-", r"xapp-(\d-[\w-]{10,})"),
    _shape("Google key AIza…", "AIza", r"AIza([\w-]{30,})"),
    _shape("Google secret GOCSPX-…", "GOCSPX-", r"GOCSPX-([\w-]{20,})"),
    _shape("Google token ya29.…", "ya29.", r"ya29\.([\w-]{20,})"),
    _shape("Stripe key …_live_…", "_live_", r"[rs]k_live_(\w{16,})"),
    _shape("Hugging Face token hf_…", "hf_", r"hf_([A-Za-z0-9]{30,})"),
    _shape("Groq key gsk_…", "gsk_", r"gsk_(\w{30,})"),
    _shape("xAI key xai-…", "xai-", r"xai-(\w{30,})"),
    _shape("SendGrid key SG.…", "SG.", r"SG\.([\w-]{16,}\.[\w-]{16,})"),
    _shape("npm token npm_…", "npm_", r"npm_([A-Za-z0-9]{36})"),
    _shape("PyPI token pypi-…", "pypi-", r"pypi-AgE([\w-]{40,})"),
    _shape("JSON Web Token eyJ…", "eyJ", r"eyJ[\w-]{10,}\.eyJ([\w-]{10,}\.[\w-]{10,})"),
)
"""The second part is what a text must have for the third to be tried."""

# names that end like this hold a credential, whatever stands before: openai_api_key, DB_PASSWORD
_NAME_ENDINGS = (
    "accesskey", "accesstoken", "accountkey", "apikey", "apitoken", "authorization", "authtoken", "bearertoken",
    "bottoken", "clientsecret", "encryptionkey", "idtoken", "masterkey", "passphrase", "passwd", "password",
    "privatekey", "refreshtoken", "secret", "secretaccesskey", "secretkey", "securitytoken", "sessiontoken",
    "sharedaccesssignature", "sharedkey", "signingkey", "subscriptionkey",
)  # fmt: skip
# say whose key it is; scrubbed, but no secret
_ACCOUNTS = frozenset({"openaiorganization", "openaiproject"})
_LAST_WORDS = ("authorization", "key", "passphrase", "passwd", "password", "secret", "signature", "token")
# what follows a name: it begins with the rarer thing, and so passes over most of a text
_AFTER_A_NAME = re.compile(
    rf"""[\\"'=%:\s](?i:(?<=[dentey].)(?:{"|".join(f"(?<={word}.)" for word in _LAST_WORDS)}))""", re.DOTALL
)
_NAME = re.compile(r"[\w-]+$")
_ASSIGNED = re.compile(
    r"""\\*["']?\s*(?:=|:|%3D)\s*\\*["']?(?:(?:Bearer|Basic|Token)(?:\s|%20|\+)+)?([A-Za-z0-9+/=_.~-]{16,})""",
    re.IGNORECASE,
)
_LONGEST_NAME = 64
_PLACEHOLDER = re.compile(r"your|placeholder|dummy|change-?me|insert|fake|(.)\1{{7}}", re.IGNORECASE)
# sk-proj-xxxxxxxxxxxx, ghp_your_token_goes_here, glpat-YOUR-TOKEN
_WORDS = re.compile(r"[xX*_-]+|[a-z]{0,15}(?:[-_][a-z]{0,15})*|[A-Z]{0,15}(?:[-_][A-Z]{0,15})*")
_EXAMPLE = re.compile(r"(?:^|[-_])(?:your|example|placeholder|dummy|fake|insert|changeme)(?:[-_]|$)", re.IGNORECASE)
# a key is shorter: inside of encrypted reasoning, or of a picture, its format is chance
_LONGEST_KEY = 200
_BASE64URL = re.compile(r"[\w-]*$", re.ASCII)
# what a field of JSON calls so is a credential if it looks like one; in a text it may be anything
_FIELDS = frozenset({"key", "token"})
_UUID = re.compile(r"[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}", re.IGNORECASE)
_RUN = re.compile(r"[A-Za-z0-9+/]{12,}")


@dataclass(frozen=True, slots=True)
class Leak:
    """One secret: its ``kind``, the place where it stands, and the first 12 hexadecimal digits of its SHA-256."""

    kind: str
    where: str
    digest: str

    def __str__(self) -> str:
        return f"{self.kind} in {self.where} (digest {self.digest})"


@dataclass(frozen=True, slots=True)
class Allowed:
    """What may be written though it looks like a secret: ``reasons`` by digest, by the text itself or by a pattern."""

    reasons: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, lines: Iterable[str]) -> Allowed:
        """Read lines of ``<digest or pattern>: <reason>``; ValueError for one without a reason or that allows all."""
        reasons = {}
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            entry, _, reason = (part.strip() for part in line.partition(": "))
            _check_entry(number, entry, reason)
            reasons[entry] = reason
        return cls(reasons)

    def allows(self, secret: str) -> bool:
        """Tell whether ``secret`` has an entry."""
        if not self.reasons:
            return False
        known = self.reasons.keys() & {secret, _digest(secret)}
        return bool(known) or any(_fully_matches(entry, secret) for entry in self.reasons)


NOTHING = Allowed()
"""Allows nothing."""


def find(interaction: Interaction, *, allowed: Allowed = NOTHING) -> list[Leak]:
    """Return what looks like a secret in ``interaction``, each secret once a place."""
    request, response = interaction.request, interaction.response
    found = [
        *_in_uri(request.uri),
        *_in_headers("request", request.headers),
        *_in_body("request.body", request.body),
        *_in_text("response.reason", response.reason),
        *_in_headers("response", response.headers),
        *_in_body("response.body", response.body),
        *_in_text("response.ended", response.ended),
        *_in_text("test", interaction.test),
    ]
    return _leaks(found, allowed)


def find_in_text(text: str, *, allowed: Allowed = NOTHING) -> list[Leak]:
    """Return what looks like a secret in ``text``, that of a file say; the place is its line."""
    found = [_Found(one.kind, f"line {_line(text, one.secret)}", one.secret) for one in _in_body_text("", text)]
    return _leaks(found, allowed)


@dataclass(frozen=True, slots=True)
class _Found:
    """A secret on the way to become a leak; it stays inside of this module."""

    kind: str
    where: str
    secret: str


def _leaks(found: Iterable[_Found], allowed: Allowed) -> list[Leak]:
    leaks = (Leak(one.kind, _showable(one), _digest(one.secret)) for one in found if not allowed.allows(one.secret))
    return list(dict.fromkeys(leaks))


def _showable(found: _Found) -> str:
    """Return where ``found`` is; the name of a field or header may itself be a secret, and is not shown then."""
    where = found.where.replace(found.secret, "…")
    for shape in _SHAPES:
        where = shape.pattern.sub("…", where)
    return where


def _in_uri(uri: str) -> Iterator[_Found]:
    try:
        query = parse_qsl(urlsplit(uri).query)
    except ValueError:
        query = []
    seen = set()
    for name, value in query:
        for found in (*_in_text(f"uri ?{name}", value), *_in_place(name, value, f"uri ?{name}")):
            seen.add(found.secret)
            yield found
    yield from (found for found in _in_text("uri", uri) if found.secret not in seen)


def _in_headers(side: str, headers: Headers) -> Iterator[_Found]:
    for name, values in headers.items():
        for value in values:
            where = f"{side}.headers {name.lower()}"
            yield from _in_text(where, value)
            yield from _in_place(name, value.rpartition(" ")[2], where)


def _in_place(name: str, value: str, where: str) -> Iterator[_Found]:
    if _is_credential(name) and _is_secret(value):
        yield _Found(CREDENTIAL, where, value)


def _in_body(where: str, body: bytes) -> Iterator[_Found]:
    for _ in range(3):
        body = decompressed(body) or body
    text, _encoding = body_text(body)
    yield from _in_body_text(where, text)


def _in_body_text(where: str, text: str) -> Iterator[_Found]:
    """Find in ``text`` as it stands, and in what it streams; of a key that is cut in pieces, only the whole one."""
    streamed = [found for one in deltas.joined(text) for found in _in_text(f"{where} {one.where}".strip(), one.text)]
    yield from streamed
    whole = [found.secret for found in streamed]
    for found in _in_text(where, text):
        if not any(found.secret in secret for secret in whole):
            yield _Found(found.kind, f"{where} {_json_place(text, found.secret)}".strip(), found.secret)


def _in_text(where: str, text: str) -> Iterator[_Found]:
    plain = unescaped(text)
    text = plain.text if plain else text
    for shape in _SHAPES:
        if shape.hint in text:
            yield from (_Found(shape.kind, where, secret) for secret in _shaped(shape, text))
    yield from (_Found(CREDENTIAL, where, secret) for secret in _assigned(text))


def _shaped(shape: _Shape, text: str) -> Iterator[str]:
    for found in shape.pattern.finditer(text):
        random = found[1].replace(REDACTED, "")
        may_be_words = shape.is_wordlike or random != found[1] or _EXAMPLE.search(random)
        is_placeholder = _WORDS.fullmatch(random) or (may_be_words and not _is_random(random))
        if not is_placeholder and not _is_amid_data(text, found.start()):
            yield re.sub(r"\\+[nr]|\s", "", found[0])  # a PEM block has line breaks, escaped or not


def _is_amid_data(text: str, start: int) -> bool:
    """Tell whether what begins at ``start`` goes on a run of base64url that is longer than a key."""
    if text[max(0, start - 1) : start] not in ("-", "_"):
        return False
    before = _BASE64URL.search(text[max(0, start - _LONGEST_KEY) : start])
    after = re.match(r"[\w-]*", text[start : start + _LONGEST_KEY], re.ASCII)
    return sum(len(run[0]) for run in (before, after) if run) >= _LONGEST_KEY


def _assigned(text: str) -> Iterator[str]:
    """Yield what ``text`` gives a name for a credential, as in ``api_key="…"`` or ``{"password": "…"}``."""
    for after in _AFTER_A_NAME.finditer(text):
        name = _NAME.search(text, max(0, after.start() - _LONGEST_NAME), after.start())
        value = _ASSIGNED.match(text, after.start())
        if not name or not value or text[value.end() : value.end() + 1] == "(":  # what is called is code
            continue
        is_field = name[0].lower() in _FIELDS and text[after.start()] in '"\\' and not _UUID.fullmatch(value[1])
        if (is_field or _is_credential(name[0])) and _is_secret(value[1]):
            yield value[1]


def _is_credential(name: str) -> bool:
    squeezed = re.sub("[-_]", "", name.lower())
    if squeezed in _ACCOUNTS:
        return False
    is_signature = squeezed.endswith("signature")  # of a thought, of a function: ordinary words for ordinary values
    return not is_signature and (squeezed.endswith(_NAME_ENDINGS) or is_credential_name(name))


def _is_secret(value: str) -> bool:
    value = value.replace(REDACTED, "")
    if len(value) < _SHORTEST or _PLACEHOLDER.search(value) or any(shape.pattern.match(value) for shape in _SHAPES):
        return False  # one that has a shape is found by it
    return _entropy(value) > _LEAST_ENTROPY and _is_random(value)


def _is_random(text: str) -> bool:
    """Tell a key from hyphenated words: it has a long run with a digit and a letter."""
    return any(
        any(map(str.isdigit, run)) and any(map(str.isalpha, run)) for run in map(re.Match.group, _RUN.finditer(text))
    )


def _entropy(text: str) -> float:
    """Return Shannon's entropy of ``text`` in bits a character."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _json_place(text: str, secret: str) -> str:
    """Return the path to the first string of the JSON ``text``, or of one of its events, that holds ``secret``."""
    for document in (text, *(line.removeprefix("data:") for line in text.splitlines() if secret in line)):
        try:
            value = json.loads(document)
        except (ValueError, RecursionError):
            continue
        return next((deltas.show(path) for path, leaf in _leaves(value, ()) if secret in re.sub(r"\s", "", leaf)), "")
    return ""


def _leaves(value: object, path: deltas.Path) -> Iterator[tuple[deltas.Path, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for name, member in value.items():
            yield from _leaves(member, (*path, name))
    elif isinstance(value, list):
        for position, member in enumerate(value):
            yield from _leaves(member, (*path, position))


def _line(text: str, secret: str) -> int:
    """Return the line of ``text`` in which ``secret`` begins: it may be cut in pieces there, or broken into lines."""
    offsets = (text.find(secret[:length]) for length in (len(secret), 24, 12, 6))
    return text.count("\n", 0, next((offset for offset in offsets if offset >= 0), 0)) + 1


def _check_entry(number: int, entry: str, reason: str) -> None:
    # the entry may be a secret, and is not shown
    if not entry or not reason:
        raise ValueError(f"allowed secret {number} ({entry[:4]}…) has no reason: write '<digest or pattern>: <reason>'")
    if _fully_matches(entry, ""):
        raise ValueError(f"allowed secret {number} ({entry[:4]}…) matches anything: write a digest or a closer pattern")


def _fully_matches(pattern: str, secret: str) -> bool:
    try:
        return bool(re.fullmatch(pattern, secret))
    except re.error:  # a text that is no pattern matches itself alone
        return False
