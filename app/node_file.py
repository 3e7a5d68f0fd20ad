"""node.toml as a new node gets it; a person goes on from there."""

from dataclasses import dataclass
from pathlib import Path

from app.blobs.disk import Disk

NODE_FILE = "node.toml"


@dataclass(frozen=True, slots=True)
class NodeFile:
    """What must be said of a new node; everything else has its default. `log` is a notary's alone."""

    network: bytes
    kind: str
    link_port: int
    http_port: int
    log: str = ""
    host: str = "127.0.0.1"

    def text(self) -> str:
        """Return TOML that `app.config` reads."""
        lines = [
            "[node]",
            f'network = "{self.network.hex()}"',
            f'kind = "{self.kind}"',
            "",
            "[transport]",
            f'host = "{self.host}"',
            f"port = {self.link_port}",
            "",
            "[web]",
            f'host = "{self.host}"',
            f"port = {self.http_port}",
            "",
            "[log]",
            'form = "json"',
        ]
        if self.log:
            lines += ["", "[notary]", f'origin = "{self.log}"']
        return "\n".join(lines) + "\n"

    def write(self, folder: Path) -> Path:
        """Write it into a node's folder; FileExistsError rather than replace one."""
        path, disk = folder / NODE_FILE, Disk()
        disk.write_new(path, [self.text().encode("utf-8")])
        disk.sync_folder(folder)
        return path
