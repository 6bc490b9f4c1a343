"""What telemetry costs: none at all, as it is by default, and by OpenTelemetry."""
