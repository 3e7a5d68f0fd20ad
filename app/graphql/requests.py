"""An operation as it arrives over HTTP or WebSocket, parsed and refused by name."""

from collections.abc import Mapping

import orjson

from app.graphql.engine import Ask


class BadRequest(Exception):
    """A request is no GraphQL request; `status` is HTTP's word for it, the message may be shown."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def ask_of(sent: object) -> Ask:
    """Return the operation in a decoded JSON body. Raise BadRequest."""
    if not isinstance(sent, dict):
        raise BadRequest(400, "the body is one JSON object; batches are not taken")
    query = sent.get("query")
    if not isinstance(query, str) or not query:
        raise BadRequest(400, "`query` must be a string")
    operation_name = sent.get("operationName")
    if not isinstance(operation_name, str | None):
        raise BadRequest(400, "`operationName` must be a string or null")
    variables = _object(sent, "variables")
    _object(sent, "extensions")  # checked and, having no extension of our own, ignored
    return Ask(query, variables, operation_name or None)


def ask_of_body(body: bytes) -> Ask:
    try:
        return ask_of(orjson.loads(body))
    except orjson.JSONDecodeError as refused:
        raise BadRequest(400, "the body is not JSON in UTF-8") from refused


def ask_of_query_string(parameters: Mapping[str, str]) -> Ask:
    """Return the operation of a GET. Raise BadRequest."""
    sent: dict[str, object] = dict(parameters)
    for name in ("variables", "extensions"):
        text = parameters.get(name)
        if text is not None:
            try:
                sent[name] = orjson.loads(text)
            except orjson.JSONDecodeError as refused:
                raise BadRequest(400, f"`{name}` is not JSON") from refused
    return ask_of(sent)


def _object(sent: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = sent.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadRequest(400, f"`{name}` must be an object or null")
    return value
