"""Table and Blob Storage: the gateways to the service, and the fakes that obey them."""
