"""SCRAM-SHA-256 (RFC 5802, RFC 7677) for passwords of our own making, which need no normalising.

`Login` is the client's side of one login; `verifier` is what a server stores of a password.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os

from redis_perf.errors import ServerUnavailable

MECHANISM = "SCRAM-SHA-256"


def verifier(password: str, iterations: int = 1) -> str:
    """What the server keeps of a password. One iteration: it is random, and 4096 would cost 8 ms a connection."""
    salt = os.urandom(16)
    salted = _salted(password, salt, iterations)
    stored, server = _sha256(_client_key(salted)), hmac.digest(salted, b"Server Key", "sha256")
    return f"{MECHANISM}${iterations}:{_base64(salt)}${_base64(stored)}:{_base64(server)}"


class Login:
    """One login: `first` is sent, `final(answer)` is sent next, `check(answer)` is the server's proof."""

    mechanism = MECHANISM.encode()

    def __init__(self, password: str, *, user: str = "") -> None:
        self._password = password
        self._nonce = _base64(os.urandom(18))
        self._bare = f"n={user},r={self._nonce}"  # PostgreSQL knows the user by now, and ignores this one
        self._server_signature = ""

    @property
    def first(self) -> bytes:
        return f"n,,{self._bare}".encode()

    def final(self, server_first: bytes) -> bytes:
        """Raises ServerUnavailable when the server's challenge is not an answer to ours."""
        challenge = _fields(server_first)
        if not challenge.get("r", "").startswith(self._nonce):
            raise ServerUnavailable("the server's SCRAM challenge does not continue our nonce")
        salted = _salted(self._password, base64.b64decode(challenge["s"]), int(challenge["i"]))
        without_proof = f"c=biws,r={challenge['r']}"
        signed = f"{self._bare},{server_first.decode()},{without_proof}".encode()
        client_key = _client_key(salted)
        signature = hmac.digest(_sha256(client_key), signed, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        server_key = hmac.digest(salted, b"Server Key", "sha256")
        self._server_signature = _base64(hmac.digest(server_key, signed, "sha256"))
        return f"{without_proof},p={_base64(proof)}".encode()

    def check(self, server_final: bytes) -> None:
        """Raises ServerUnavailable unless the server knows the password too."""
        if _fields(server_final).get("v") != self._server_signature:
            raise ServerUnavailable(
                "the server could not prove that it knows the password: it is not the one we started"
            )


def _fields(message: bytes) -> dict[str, str]:
    return {part[:1]: part[2:] for part in message.decode().split(",")}


def _salted(password: str, salt: bytes, iterations: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)


def _client_key(salted: bytes) -> bytes:
    return hmac.digest(salted, b"Client Key", "sha256")


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
