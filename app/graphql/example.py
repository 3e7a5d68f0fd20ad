"""An example operation, as GraphiQL opens it."""

import msgspec

from app.auth.sessions import Role


class ExampleQuery(msgspec.Struct, frozen=True):
    """An operation that opens as a tab; `variables` is JSON text. Without a `role`, it is for everybody."""

    title: str
    query: str
    variables: str = ""
    role: Role | None = None
