"""Random numbers that depend on the seed and the request alone: the same in every process."""

import hashlib
import json
import random
from typing import Any

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


class Dice(random.Random):
    """Random numbers that depend on nothing but the seed and the JSON values given."""

    def __init__(self, seed: int, *parts: Any) -> None:
        material = json.dumps([seed, *parts], sort_keys=True, ensure_ascii=True).encode()
        super().__init__(int.from_bytes(hashlib.sha256(material).digest(), "big"))

    def token(self, length: int) -> str:
        """Letters and digits, as in the API's ids."""
        return "".join(self.choices(_ALPHABET, k=length))

    def hexadecimal(self, length: int) -> str:
        """So many hexadecimal digits."""
        return f"{self.getrandbits(4 * length):0{length}x}"

    def uuid(self) -> str:
        """The digits of a UUID in their groups."""
        digits = self.hexadecimal(32)
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
