"""Writes schema.graphql, the committed definition of the GraphQL API: `python -m tests.vectors.schema`."""

from pathlib import Path

from app.graphql.schema.root import build_schema, schema_text

if __name__ == "__main__":
    target = Path(__file__).with_name("schema.graphql")
    target.write_text(schema_text(build_schema()), "utf-8")
