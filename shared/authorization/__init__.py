"""May this tag charge at this charger? One pure decision, and the reads that it needs."""
