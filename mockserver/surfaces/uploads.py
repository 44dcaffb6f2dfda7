"""Uploads: large files in parts, which become a file when the upload is completed.

See https://platform.openai.com/docs/api-reference/uploads. No traffic of it is known to be recorded: objects follow the
reference's examples, and the texts of all refusals here but missing parameters are unverified.
"""

import hashlib
from typing import Any

from mockserver import problems
from mockserver.calls import Call
from mockserver.catalogue import Model
from mockserver.generating.dice import Dice
from mockserver.parameters import array, integer, require, string
from mockserver.surfaces import Operation, Result, Setting, files
from mockserver.surfaces.expiry import check_expiry, lifetime_s

_KIND = "upload"
_PART = "upload.part"
_OPEN_S = 3_600  # "Uploads … expire after an hour"
_LARGEST = 8 * 1024**3
_LARGEST_PART = 64 * 1024**2


def check_create(call: Call, _model: Model) -> None:
    """Refuse an upload that does not say what is going to come."""
    body = call.body
    require(body, ["purpose", "filename", "bytes", "mime_type"])
    files.check_purpose(call, body["purpose"])
    string("filename", body["filename"])
    integer(1, _LARGEST)("bytes", body["bytes"])
    string("mime_type", body["mime_type"])
    if body.get("expires_after") is not None:
        check_expiry("expires_after", body["expires_after"])


def create(call: Call, setting: Setting) -> Result:
    """An upload that waits for its parts."""
    body = call.body
    dice = Dice(setting.seed, _KIND, setting.store.number(_KIND), body.get("filename"), body.get("bytes"))
    upload = _upload(setting, f"upload_{dice.hexadecimal(32)}", body)
    record = {
        "upload": upload,
        "ends_at": setting.now + _OPEN_S,
        "lifetime_s": lifetime_s(body.get("expires_after")),
    }
    setting.store.put(_KIND, upload["id"], record)
    return Result(body=upload)


def _upload(setting: Setting, name: str, body: dict[str, Any]) -> dict[str, Any]:
    size = body.get("bytes")
    return {
        "id": name,
        "object": "upload",
        "bytes": size if type(size) is int else 0,
        "created_at": setting.created,
        "filename": str(body.get("filename", "upload")),
        "purpose": str(body.get("purpose", "assistants")),
        "status": "pending",
        "expires_at": setting.created + _OPEN_S,
    }


def check_part(call: Call, _model: Model) -> None:
    """Refuse a part without data, or with too much of it."""
    data = call.files.get("data")
    if not data:
        raise problems.missing("data")
    if len(data[0].content) > _LARGEST_PART:
        raise problems.error(400, f"The part is too large: at most {_LARGEST_PART} bytes are allowed.", param="data")


def add_part(call: Call, setting: Setting) -> Result:
    """A part; in which order parts come together is said when the upload is completed."""
    record = _pending(call, setting)
    name = record["upload"]["id"]
    data = b"".join(each.content for each in call.files.get("data", ()))
    dice = Dice(setting.seed, _PART, setting.store.number(_PART), name, len(data))
    part = {
        "id": f"part_{dice.hexadecimal(32)}",
        "object": _PART,
        "created_at": setting.created,
        "upload_id": name,
    }
    setting.store.put(_kind_of_parts(name), part["id"], part, data)
    return Result(body=part)


def check_complete(call: Call, _model: Model) -> None:
    """Refuse a completion that names no parts."""
    require(call.body, ["part_ids"])
    array(10_000, string)("part_ids", call.body["part_ids"])
    if call.body.get("md5") is not None:
        string("md5", call.body["md5"])


def complete(call: Call, setting: Setting) -> Result:
    """The upload with the file that its parts make; Problem if they are not what was announced."""
    record = _pending(call, setting)
    upload = record["upload"]
    content = _assembled(call, setting, upload)
    if not setting.lenient:
        _check_whole(call, upload, content)
    file = {"id": files.new_id(call, setting, upload["id"])}
    done = {**upload, "status": "completed", "file": file}
    if not _settled(setting, record, done):
        raise _not_pending(upload["id"], "completed")
    made = files.keep(
        call,
        setting,
        filename=upload["filename"],
        purpose=upload["purpose"],
        content=content,
        lifetime_s=record["lifetime_s"],
        name=file["id"],
    )
    setting.store.forget(_kind_of_parts(upload["id"]))
    return Result(body={**done, "file": made})


def _assembled(call: Call, setting: Setting, upload: dict[str, Any]) -> bytes:
    """The parts in the order asked for."""
    wanted = call.body.get("part_ids")
    parts = []
    for name in wanted if isinstance(wanted, list) else []:
        part = setting.store.content(_kind_of_parts(upload["id"]), str(name))
        if part is None and not setting.lenient:
            message = f"No such part: '{name}' is no part of upload '{upload['id']}'."
            raise problems.error(400, message, param="part_ids")
        parts.append(part or b"")
    return b"".join(parts)


def _check_whole(call: Call, upload: dict[str, Any], content: bytes) -> None:
    if len(content) != upload["bytes"]:
        message = f"The parts have {len(content)} bytes together, but the upload was created with {upload['bytes']}."
        raise problems.error(400, message, param="part_ids")
    md5 = call.body.get("md5")
    # as a checksum the API takes MD5, however little it proves
    if md5 is not None and hashlib.md5(content, usedforsecurity=False).hexdigest() != md5.lower():
        raise problems.error(400, "The md5 checksum does not match the contents of the upload.", param="md5")
    files.check_content(upload["purpose"], upload["filename"], content)


def cancel(call: Call, setting: Setting) -> Result:
    """The upload, which takes no more parts."""
    record = _pending(call, setting)
    cancelled = {**record["upload"], "status": "cancelled"}
    if not _settled(setting, record, cancelled):
        raise _not_pending(cancelled["id"], "completed")
    setting.store.forget(_kind_of_parts(cancelled["id"]))
    return Result(body=cancelled)


def _pending(call: Call, setting: Setting) -> dict[str, Any]:
    """The record of the upload that the path names; Problem if there is none, or it takes nothing any more."""
    name = call.ids["upload_id"]
    record = setting.store.get(_KIND, name)
    if record is None:
        if setting.lenient:
            return {"upload": _upload(setting, name, {}), "ends_at": setting.now + _OPEN_S, "lifetime_s": None}
        raise problems.error(404, f"No such Upload object: {name}", param="id")  # worded like the 404 of files
    status = record["upload"]["status"]
    if status == "pending" and setting.now >= record["ends_at"]:
        status = "expired"
        _settled(setting, record, {**record["upload"], "status": status})
    if status != "pending":
        raise _not_pending(name, status)
    return record


def _settled(setting: Setting, record: dict[str, Any], upload: dict[str, Any]) -> bool:
    """Write down what has become of an upload; False if another request was faster."""
    known = setting.store.update(_KIND, upload["id"], record, {**record, "upload": upload})
    return known or (setting.lenient and setting.store.get(_KIND, upload["id"]) is None)


def _not_pending(name: str, status: str) -> problems.Problem:
    return problems.error(400, f"Upload '{name}' has status '{status}', but must be 'pending' for this.")


def _kind_of_parts(upload: str) -> str:
    return f"{_PART} of {upload}"


def _operation(path: str, name: str, **rest: Any) -> Operation:
    return Operation(method="POST", path=path, surface="uploads", name=name, places=files.PLACES, model=None, **rest)


OPERATIONS = (
    _operation("/uploads", "create", answer=create, check=check_create),
    _operation("/uploads/{upload_id}/parts", "add_part", answer=add_part, check=check_part, takes="form"),
    _operation("/uploads/{upload_id}/complete", "complete", answer=complete, check=check_complete),
    _operation("/uploads/{upload_id}/cancel", "cancel", answer=cancel),
)
