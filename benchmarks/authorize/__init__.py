"""How long a tap takes beside a function that does nothing and a bare range query."""
