"""The release that this is. pyproject.toml names the same; a test holds the two together."""

VERSION = "0.1.0"
