"""What is served of others' code is byte for byte what VENDORED.md says."""

import hashlib
import re

from app.web.graphiql import STATIC

FOLDER = STATIC / "graphiql"
ROW = re.compile(
    r"^\| (\S+) \| \S+ \| [\d.]+ \| \S+ \| MIT \((\S+)\) \| ([0-9a-f]{64}) \|$", re.MULTILINE
)
OURS = {"index.html", "page.css", "page.js", "VENDORED.md"}


def test_every_vendored_file_has_the_digest_and_licence_that_are_written_down() -> None:
    rows = ROW.findall((FOLDER / "VENDORED.md").read_text())
    licences = {licence for _, licence, _ in rows}
    assert {name for name, _, _ in rows} | licences | OURS == {
        file.name for file in FOLDER.iterdir()
    }
    for name, licence, digest in rows:
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == digest, name
        assert "MIT" in (FOLDER / licence).read_text()


def test_our_own_page_names_no_other_origin_and_carries_no_inline_script_or_style() -> None:
    page = (FOLDER / "index.html").read_text()
    for name in ("index.html", "page.css", "page.js"):
        assert not re.search(r"https?:|//[a-z]+\.", (FOLDER / name).read_text()), name
    assert not re.search(r"<script>|<style|\sstyle=|\son[a-z]+=", page)
    assert not re.search(
        r"localStorage|sessionStorage|document\.cookie", (FOLDER / "page.js").read_text()
    )
