"""Passwords of one run, and what a server may be told of them."""

import base64
import hashlib
import hmac
import secrets

__all__ = ["new_password", "scram_verifier"]

_PASSWORD_BYTES = 24
_SALT_BYTES = 16
_ROUNDS = 4096


def new_password() -> str:
    """Return a password that nobody can guess; it needs no quotes in a URL or in a file."""
    return secrets.token_hex(_PASSWORD_BYTES)


def scram_verifier(password: str) -> str:
    """Return what a server keeps by SCRAM instead of a password, which no statement names."""
    salt = secrets.token_bytes(_SALT_BYTES)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ROUNDS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    parts = (salt, stored, hmac.digest(salted, b"Server Key", "sha256"))
    salt_text, stored_text, server_text = (base64.b64encode(part).decode() for part in parts)
    return f"SCRAM-SHA-256${_ROUNDS}:{salt_text}${stored_text}:{server_text}"
