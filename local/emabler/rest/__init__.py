"""The documented reads, one module each; `reads` has all of them."""
