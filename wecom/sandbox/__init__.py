"""A stand-in for WeCom in its own process: same HTTP, same signed and encrypted callbacks, own database.

It imports nothing of the product and the product imports nothing of it; see docs/sandbox.md.
"""
