"""Accept and Content-Type headers mean what RFC 9110 says."""

import pytest

from app.graphql.negotiation import MediaType, accepted, is_json

JSON, RESPONSE, EVENTS = MediaType.JSON, MediaType.GRAPHQL_RESPONSE, MediaType.EVENT_STREAM


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("application/json", JSON),
        ("application/graphql-response+json", RESPONSE),
        ("application/graphql-response+json; charset=utf-8, application/json; q=0.9", RESPONSE),
        ("application/graphql-response+json;q=0.5, application/json;q=0.9", JSON),
        ("application/json;q=0.9, */*;q=0.8", JSON),
        ("application/graphql-response+json, */*;q=0.1", RESPONSE),
        ("APPLICATION/JSON", JSON),
        ("text/event-stream", EVENTS),
        ("text/event-stream, application/json;q=0.5", EVENTS),
        ("text/*", None),
        ("text/html", None),
        ("application/json;q=0", None),
        ("application/json;q=0, */*", RESPONSE),
        ("application/json;q=nonsense", None),
        ("application/json;q=7", None),
        ("nonsense", None),
        (",,;;,", None),
    ],
)
def test_the_header_chooses(header: str, chosen: MediaType | None) -> None:
    assert accepted(header) is chosen


@pytest.mark.parametrize(
    ("content_type", "taken"),
    [
        ("application/json", True),
        ("application/json; charset=utf-8", True),
        ('Application/JSON; charset="UTF-8"', True),
        ("application/json; charset=latin-1", False),
        ("application/graphql+json", False),
        ("text/plain", False),
        ("", False),
    ],
)
def test_a_body_is_json_in_utf_8(content_type: str, taken: object) -> None:
    assert is_json(content_type) is taken
