"""Ephemeral keys for realtime sessions; the sessions themselves are in `mockserver.realtime`.

`client_secrets` as recorded of Azure by pydantic-ai; the older `sessions`, and how long keys live, as documented at
https://platform.openai.com/docs/api-reference/realtime-sessions. A key is kept as a digest, with the digest of the real
key that asked for it.
"""

from typing import Any

from mockserver import problems
from mockserver.calls import Call, digest_of
from mockserver.catalogue import Model
from mockserver.parameters import check_known, integer, obj, require
from mockserver.realtime.sessions import changed, check_session, new_session
from mockserver.surfaces import Operation, Place, Result, Setting

KIND = "ephemeral key"
DEFAULT_MODEL = "gpt-realtime"

_LIFE_S, _LEAST_S, _MOST_S = 600, 10, 7_200
_BETA_LIFE_S = 60


def check_secret(call: Call, _model: Model) -> None:
    """Refuse what sessions do not have."""
    check_known(call.body, ("session", "expires_after"))
    if call.body.get("session") is not None:
        check_session(call.body["session"], is_beta=False)
    if call.body.get("expires_after") is not None:
        obj("expires_after", call.body["expires_after"])
        require(call.body["expires_after"], ["seconds"], within="expires_after")
        integer(_LEAST_S, _MOST_S)("expires_after.seconds", call.body["expires_after"]["seconds"])


def make_secret(call: Call, setting: Setting) -> Result:
    """A key, and the session that it opens."""
    after = call.body.get("expires_after")
    wanted = after.get("seconds") if isinstance(after, dict) else None
    life_s = wanted if type(wanted) is int and _LEAST_S <= wanted <= _MOST_S else _LIFE_S
    session, change = _session(call, setting, call.body.get("session"), is_beta=False)
    value, expires_at = _keep(call, setting, session["model"], change, life_s)
    return Result(body={"value": value, "expires_at": expires_at, "session": {**session, "expires_at": 0}})


def check_beta(call: Call, _model: Model) -> None:
    """Refuse what sessions of the older interface do not have; parameters stand at the top there."""
    for name in call.body:
        try:
            check_session({name: call.body[name]}, is_beta=True)
        except problems.Problem as problem:
            message = str(problem.error["message"]).replace("session.", "", 1)
            raise problems.error(400, message, param=name, code=problem.error["code"]) from problem


def make_beta(call: Call, setting: Setting) -> Result:
    """A session of the older interface, and the key in it."""
    session, change = _session(call, setting, call.body, is_beta=True)
    value, expires_at = _keep(call, setting, session["model"], change, _BETA_LIFE_S)
    return Result(body={**session, "client_secret": {"value": value, "expires_at": expires_at}})


def _session(call: Call, setting: Setting, change: Any, *, is_beta: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    change = change if isinstance(change, dict) else {}
    model = change.get("model") if isinstance(change.get("model"), str) else DEFAULT_MODEL
    dice = setting.dice(call, f"session {setting.store.number('realtime session')}")
    session = new_session(dice, model=str(model), expires_at=setting.created + _LIFE_S, is_beta=is_beta)
    return changed(session, change, is_beta=is_beta), change


def _keep(call: Call, setting: Setting, model: str, change: dict[str, Any], life_s: int) -> tuple[str, int]:
    value = f"ek_{setting.dice(call, f'key {setting.store.number(KIND)}').hexadecimal(32)}"
    kept = {"key": call.key, "expires_at": setting.now + life_s, "model": model, "session": change}
    setting.store.put(KIND, digest_of(value), kept)
    return value, setting.created + life_s


def _operation(path: str, name: str, *places: Place, **rest: Any) -> Operation:
    return Operation(method="POST", path=path, surface="realtime", name=name, places=places, model=None, **rest)


OPERATIONS = (
    _operation(
        "/realtime/client_secrets", "client_secret", "openai", "azure_v1", answer=make_secret, check=check_secret
    ),
    _operation("/realtime/sessions", "session", "openai", answer=make_beta, check=check_beta),
)
