"""The gate: who may see which preview, where it is, and waking it on the first request. Proxies nothing itself.

The gateway (Caddy, `config.py`) asks it about each request and does the rest.
"""
