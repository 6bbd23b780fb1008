"""What a stranger does to a bundle."""

import hashlib
import json


def key(entry):
    """The trial key of an entry of the small bundle."""
    return hashlib.sha256(entry.encode()).hexdigest()


def digested(bundle):
    """Write the digests of all files anew, as a stranger can."""
    files = {p.relative_to(bundle).as_posix(): p for p in sorted(bundle.rglob("*")) if p.is_file()}
    digests = {name: hashlib.sha256(p.read_bytes()).hexdigest() for name, p in files.items() if name != "sha256.json"}
    (bundle / "sha256.json").write_text(json.dumps(digests))
    return bundle


def edited(path, change):
    """Change a JSON file."""
    data = json.loads(path.read_text())
    data.pop("content_sha256", None)
    change(data)
    path.write_text(json.dumps(data))
