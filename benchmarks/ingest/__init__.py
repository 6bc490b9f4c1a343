"""How fast a batch goes into the store, beside a plain function and beside the ceiling."""
