"""A small container image for tests of registries, and requests that push it."""

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.sandbox.calls import Caller

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass(frozen=True)
class Image:
    """An image of one layer with one file."""

    layer: bytes
    config: bytes
    manifest: bytes

    @property
    def digest(self) -> str:
        return digest_of(self.manifest)

    @property
    def size(self) -> int:
        """The bytes that a registry stores for it."""
        return len(self.layer) + len(self.config) + len(self.manifest)

    def write(self, folder: Path, tag: str = "1") -> str:
        """Write it as an OCI layout, and return its name for skopeo."""
        blobs = folder / "blobs" / "sha256"
        blobs.mkdir(parents=True, exist_ok=True)
        for content in (self.layer, self.config, self.manifest):
            (blobs / digest_of(content).removeprefix("sha256:")).write_bytes(content)
        entry = _described(MANIFEST, self.manifest)
        entry["annotations"] = {"org.opencontainers.image.ref.name": tag}
        index = {"schemaVersion": 2, "manifests": [entry]}
        (folder / "index.json").write_text(json.dumps(index))
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        return f"oci:{folder}:{tag}"


def image(text: str = "hello") -> Image:
    """Return an image with one file that contains this text. Each text gives another image."""
    unpacked = io.BytesIO()
    with tarfile.open(fileobj=unpacked, mode="w") as archive:
        entry = tarfile.TarInfo("hello.txt")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text.encode()))
    layer = gzip.compress(unpacked.getvalue(), mtime=0)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(unpacked.getvalue())]},
    }
    packed = json.dumps(config).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _described(_CONFIG, packed),
        "layers": [_described(_LAYER, layer)],
    }
    return Image(layer, packed, json.dumps(manifest).encode())


def _described(kind: str, content: bytes) -> dict:
    return {"mediaType": kind, "digest": digest_of(content), "size": len(content)}


def rest_of(answer: httpx.Response) -> str:
    """Return the path and the query of an answer's `Location`."""
    return httpx.URL(answer.headers["location"]).raw_path.decode()


def upload(caller: Caller, name: str, content: bytes) -> httpx.Response:
    """Upload a blob to a repository, and return the answer to the last request."""
    started = caller("POST", f"/v2/{name}/blobs/uploads/")
    if started.status_code != 202:
        return started
    address = f"{rest_of(started)}&digest={digest_of(content)}"
    headers = {"content-type": "application/octet-stream"}
    return caller("PUT", address, headers=headers, content=content)


def put_manifest(
    caller: Caller, name: str, content: bytes, reference: str = "1", kind: str = MANIFEST
) -> httpx.Response:
    headers = {"content-type": kind}
    return caller("PUT", f"/v2/{name}/manifests/{reference}", headers=headers, content=content)


def push(caller: Caller, name: str, pushed: Image, tag: str = "1") -> httpx.Response:
    """Push an image. Return the answer to the last request, or to the first refused one."""
    for blob in (pushed.layer, pushed.config):
        answer = upload(caller, name, blob)
        if answer.status_code != 201:
            return answer
    return put_manifest(caller, name, pushed.manifest, tag)
