"""A marked session and tap that go through a deployed app, are followed, and are taken out."""
