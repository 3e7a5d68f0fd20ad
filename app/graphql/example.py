"""An example query, as GraphiQL opens it."""

import msgspec


class ExampleQuery(msgspec.Struct, frozen=True):
    """A query that opens as a tab; `variables` is JSON text."""

    title: str
    query: str
    variables: str = ""
