"""How a host is called."""

import hashlib
from pathlib import Path


def host_id(app: Path) -> str:
    """A name for the host of the app in this folder, the same at each start."""
    digest = hashlib.sha256(str(app).encode()).hexdigest()
    return f"{app.name.lower()[:20]}-{digest[:12]}"
