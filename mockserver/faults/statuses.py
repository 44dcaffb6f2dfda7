"""What each status of 400 and more says, on OpenAI and on Azure.

Texts are those of recorded replies or of replies that users pasted into public issues; a comment names which. What was
never seen is marked unverified: then only the envelope is known.
"""

from http import HTTPStatus

from mockserver import problems
from mockserver.problems import Problem
from mockserver.scripting.steps import Moment

_TROUBLESHOOTING = (
    "\nPlease check this guide to understand why this error code might have been returned \n"
    "https://docs.microsoft.com/en-us/azure/machine-learning/how-to-troubleshoot-online-endpoints#http-status-codes\n"
)


def refusal_of(moment: Moment, status: int) -> Problem:
    """The refusal with `status` that the dialect of `moment` has."""
    dialect, call = moment.dialect, moment.call
    if status >= 500:
        return dialect.server_error(call, status)
    if status == 401:
        return dialect.unauthorised("not-a-real-key")
    if status == 404:
        return dialect.unknown_model(call, call.model or "unknown")
    if status == 405:
        return dialect.wrong_method(call.method, call.path)
    if status == 429:
        return dialect.rate_limited(call, retry_after_s=1.0, limit="requests")
    known = _AZURE.get(status) if dialect.name == "azure" else _OPENAI.get(status)
    return known or _unverified(status, dialect.name)


def _text(status: int, text: str) -> Problem:
    return Problem(status, {}, body=text, headers={"content-type": "text/plain"})


_OPENAI = {
    # recorded by pydantic-ai
    400: problems.error(
        400,
        "Invalid 'temperature': decimal below minimum value. Expected a value >= 0, but got -1 instead.",
        param="temperature",
        code="decimal_below_min_value",
    ),
    # quoted in home-assistant/core#120072
    403: problems.error(
        403,
        "Country, region, or territory not supported",
        kind="request_forbidden",
        code="unsupported_country_region_territory",
    ),
}

_AZURE = {
    # recorded from Azure by pydantic-ai
    400: problems.error(
        400,
        "Invalid 'messages[0]'. Content blocks are expected to be either text or image_url type.",
        param="messages[0]",
        code="invalid_value",
    ),
    # byte for byte as quoted in azure-sql-db-chatbot#3, the blank included
    403: Problem(
        403,
        {},
        body='{"error":{"code":"403","message": "Access denied due to Virtual Network/Firewall rules."}}',
        headers={"content-type": "application/json", "policy-id": "ThrowExceptionDueToTrafficDenied"},
    ),
    # quoted in dify-official-plugins#2199 and new-api#1565; served models were also recorded to answer in plain text
    408: Problem(408, {"code": "Timeout", "message": "The operation was timeout."}),
    # recorded from an endpoint of Azure
    413: _text(413, "Failed to buffer the request body: length limit exceeded" + _TROUBLESHOOTING),
}


def _unverified(status: int, dialect: str) -> Problem:
    """The usual envelope around the status's own name: no such reply of an inference API was ever seen."""
    name = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Refused"
    if dialect == "azure":
        return Problem(status, {"code": str(status), "message": name})
    return problems.error(status, name)
