"""Table Storage: rows and operations, the gateway to the service and the fake that obeys it."""
