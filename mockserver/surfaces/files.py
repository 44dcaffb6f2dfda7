"""Files: uploaded, listed, read and deleted.

Bodies and headers as recorded of api.openai.com by ruby-openai (list, content), pydantic-ai (create, delete) and
timescale/pgai (404). The object is documented at https://platform.openai.com/docs/api-reference/files/object. Which
purposes cannot be downloaded is quoted in many public bug reports ("Not allowed to download files of purpose: …").
"""

import json
from typing import Any

from mockserver import problems
from mockserver.calls import Call
from mockserver.catalogue import Model
from mockserver.forms import Upload
from mockserver.generating.dice import Dice
from mockserver.parameters import require
from mockserver.surfaces import Operation, Place, Result, Setting
from mockserver.surfaces.expiry import check_expiry, lifetime_s
from mockserver.surfaces.paging import Paging

KIND = "file"
PLACES: tuple[Place, ...] = ("openai", "resource", "azure_v1")
PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")

_PAGING = Paging(default=10_000, most=10_000)
_UNREADABLE = ("assistants", "user_data")
_LARGEST_BATCH = 200 * 1024 * 1024
_BATCH_LIFETIME_S = 30 * 86_400  # recorded in BerriAI/litellm#37527: files for batches go away after 30 days


def check_create(call: Call, _model: Model) -> None:
    """Refuse a form without file or purpose, a purpose that nobody knows, and a batch file that is none."""
    if not call.files.get("file"):
        raise problems.missing("file")
    require(call.body, ["purpose"])
    check_purpose(call, call.body["purpose"])
    if "expires_after" in call.body:
        check_expiry("expires_after", call.body["expires_after"])
    upload = call.files["file"][0]
    check_content(call.body["purpose"], upload.filename, upload.content)


def check_purpose(call: Call, purpose: Any) -> None:
    """Refuse another purpose than the documented ones."""
    if purpose in PURPOSES:
        return
    if call.dialect == "azure":
        # as quoted in BerriAI/litellm#6582
        raise problems.Problem(400, {"code": "invalidPayload", "message": "Invalid value for purpose."})
    raise problems.invalid_value("purpose", purpose, PURPOSES)  # unverified for forms: worded as in JSON


def check_content(purpose: str, filename: str, content: bytes) -> None:
    """Refuse what cannot be the input of a batch: neither the name nor the first line is judged for other purposes."""
    if purpose != "batch":
        return
    if len(content) > _LARGEST_BATCH:
        raise problems.error(400, "File is too large.")  # as quoted in bespokelabsai/curator#111
    try:
        content.decode()
    except UnicodeDecodeError as exc:
        # as quoted in mkht/PSOpenAI#19
        raise problems.error(400, "Invalid file for Batch API. Must be utf-8 encoded") from exc
    if not filename.endswith(".jsonl") or not _starts_with_object(content):
        # as quoted in BerriAI/litellm#37527; that lines after the first are not judged is what llama-stack observed
        raise problems.error(400, "Invalid file format for Batch API. Must be .jsonl")


def _starts_with_object(content: bytes) -> bool:
    first = next((line for line in content.splitlines() if line.strip()), b"")
    try:
        return isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def create(call: Call, setting: Setting) -> Result:
    """The file of the form."""
    upload = next(iter(call.files.get("file", ())), Upload(filename="upload", content_type="", content=b""))
    purpose = str(call.body.get("purpose", "assistants"))
    lifetime = lifetime_s(call.body.get("expires_after"))
    made = keep(call, setting, filename=upload.filename, purpose=purpose, content=upload.content, lifetime_s=lifetime)
    return Result(body=made)


def keep(
    call: Call,
    setting: Setting,
    *,
    filename: str,
    purpose: str,
    content: bytes,
    lifetime_s: int | None = None,
    name: str | None = None,
) -> dict[str, Any]:
    """Make a file, for `lifetime_s` seconds (None: as long as the purpose has it), and return its object."""
    name = name or new_id(call, setting, filename, purpose, len(content))
    if lifetime_s is None and purpose == "batch":
        lifetime_s = _BATCH_LIFETIME_S
    made = {
        "object": "file",
        "id": name,
        "purpose": purpose,
        "filename": filename,
        "bytes": len(content),
        "created_at": setting.created,
        "expires_at": None if lifetime_s is None else setting.created + lifetime_s,
        "status": "processed",
        "status_details": None,
    }
    ends_at = None if lifetime_s is None else setting.now + lifetime_s
    setting.store.put(KIND, name, {"file": made, "ends_at": ends_at}, content)
    return made


def new_id(call: Call, setting: Setting, *parts: Any) -> str:
    """An id that no other file has: 22 letters and digits on OpenAI, 32 hexadecimal digits on Azure (both recorded)."""
    dice = Dice(setting.seed, KIND, setting.store.number(KIND), *parts)
    return f"file-{dice.hexadecimal(32) if call.dialect == 'azure' else dice.token(22)}"


def find(setting: Setting, name: str) -> dict[str, Any] | None:
    """The object of a file that is there and has not expired."""
    kept = setting.store.get(KIND, name)
    if kept is None or _is_over(kept, setting):
        return None
    file: dict[str, Any] = kept["file"]
    return file


def content_of(setting: Setting, name: str) -> bytes | None:
    """The bytes of a file that is there and has not expired."""
    return setting.store.content(KIND, name) if find(setting, name) else None


def _is_over(kept: dict[str, Any], setting: Setting) -> bool:
    ends_at = kept["ends_at"]
    return ends_at is not None and setting.now >= ends_at


def list_all(call: Call, setting: Setting) -> Result:
    """A page of the files, the newest first unless asked otherwise."""
    files = [kept["file"] for kept in setting.store.all(KIND) if not _is_over(kept, setting)]
    purpose = call.query.get("purpose")
    return _PAGING.page(call, setting, [file for file in files if purpose in (None, file["purpose"])])


def check_list(call: Call, _model: Model) -> None:
    """Refuse a wrong limit or order."""
    _PAGING.check(call)


def retrieve(call: Call, setting: Setting) -> Result:
    """One file's object."""
    return Result(body=_found(call, setting))


def delete(call: Call, setting: Setting) -> Result:
    """Forget a file."""
    name = _found(call, setting)["id"]
    setting.store.delete(KIND, name)
    return Result(body={"object": "file", "deleted": True, "id": name})


def content(call: Call, setting: Setting) -> Result:
    """The bytes of a file, of the type that was recorded for all of them."""
    file = _found(call, setting)
    if file["purpose"] in _UNREADABLE and not setting.lenient:
        raise problems.error(400, f"Not allowed to download files of purpose: {file['purpose']}")
    name = str(file["filename"]).replace("\\", "_").replace('"', "_")
    return Result(
        content=setting.store.content(KIND, file["id"]) or b"",
        content_type="application/octet-stream",
        headers={"content-disposition": f'attachment; filename="{name}"'},
    )


def _found(call: Call, setting: Setting) -> dict[str, Any]:
    """The file that the path names; a lenient server makes one up, else the recorded 404."""
    name = call.ids["file_id"]
    file = find(setting, name)
    if file is not None:
        return file
    if not setting.lenient:
        raise problems.error(404, f"No such File object: {name}", param="id")
    return _made_up(setting, name)


def _made_up(setting: Setting, name: str) -> dict[str, Any]:
    return {
        "object": "file",
        "id": name,
        "purpose": "user_data",
        "filename": "upload",
        "bytes": 0,
        "created_at": setting.created,
        "expires_at": None,
        "status": "processed",
        "status_details": None,
    }


def _operation(method: str, path: str, name: str, **rest: Any) -> Operation:
    return Operation(method=method, path=path, surface="files", name=name, places=PLACES, model=None, **rest)


OPERATIONS = (
    _operation("POST", "/files", "create", answer=create, check=check_create, takes="form"),
    _operation("GET", "/files", "list", answer=list_all, check=check_list),
    _operation("GET", "/files/{file_id}", "retrieve", answer=retrieve),
    _operation("DELETE", "/files/{file_id}", "delete", answer=delete),
    _operation("GET", "/files/{file_id}/content", "content", answer=content),
)
