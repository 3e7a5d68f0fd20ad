"""GraphiQL, served whole from this node: no script, style or font from anywhere else."""

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
from graphql import parse, print_ast
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from app.graphql.example import ExampleQuery

STATIC = Path(__file__).parent / "static"


class KeptFiles(StaticFiles):
    """Files that a browser keeps and asks about anew: they are the same for everybody, until the node is updated."""

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["cache-control"] = "no-cache"
        return response


def graphiql_routes(examples: Sequence[ExampleQuery]) -> Sequence[BaseRoute]:
    """Return the page, its examples, and the static files below /static."""
    examples_body = msgspec.json.encode([_laid_out(each) for each in examples])

    async def page(_: Request) -> Response:
        return FileResponse(STATIC / "graphiql" / "index.html", media_type="text/html")

    async def shown_examples(_: Request) -> Response:
        return Response(examples_body, media_type="application/json")

    async def entrance(_: Request) -> Response:
        return RedirectResponse("/graphiql")

    static = Mount(
        "/static",
        KeptFiles(directory=STATIC, follow_symlink=False),
        name="static",
        middleware=[Middleware(GZipMiddleware, minimum_size=2_048)],
    )
    return (
        Route("/", entrance),
        Route("/graphiql", page),
        Route("/graphiql/examples.json", shown_examples),
        static,
    )


def _laid_out(example: ExampleQuery) -> ExampleQuery:
    """Lay an example out as the editor's own button does: a field a line."""
    return msgspec.structs.replace(example, query=print_ast(parse(example.query)))
