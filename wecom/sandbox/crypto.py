"""Signature and encryption of callbacks.

AES-256-CBC, IV = first 16 bytes of the key, PKCS#7 padding to blocks of 32 bytes.
Source: developer.work.weixin.qq.com/document/path/90968
"""

import base64
import hashlib

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from . import chance

BLOCK = 32


def _key(aes_key: str) -> bytes:
    return base64.b64decode(aes_key + "=")


def encrypt(message: bytes, *, aes_key: str, receive_id: str) -> str:
    """16 random bytes, length, message, receive id; padded, encrypted, base64."""
    key = _key(aes_key)
    plain = chance.noise(16, "seal") + len(message).to_bytes(4, "big") + message + receive_id.encode()
    pad = BLOCK - len(plain) % BLOCK
    encryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
    return base64.b64encode(encryptor.update(plain + bytes([pad]) * pad) + encryptor.finalize()).decode()


def decrypt(encrypted: str, *, aes_key: str) -> tuple[str, str]:
    """(message, receive id) of what somebody sealed; ValueError for anything else."""
    key = _key(aes_key)
    decryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).decryptor()
    plain = decryptor.update(base64.b64decode(encrypted)) + decryptor.finalize()
    pad = plain[-1]
    if not 1 <= pad <= BLOCK:
        raise ValueError("padding")
    plain = plain[:-pad]
    size = int.from_bytes(plain[16:20], "big")
    return plain[20 : 20 + size].decode(), plain[20 + size :].decode()


def signature(*, token: str, timestamp: str, nonce: str, encrypted: str) -> str:
    """sha1 over the four values in sorted order."""
    return hashlib.sha1("".join(sorted([token, timestamp, nonce, encrypted])).encode()).hexdigest()  # noqa: S324
