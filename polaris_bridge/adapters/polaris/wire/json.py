"""Protobuf JSON as the real server reads and writes it: the one door to both directions."""

from .json_in import Malformed, decode, decode_list
from .json_out import ITEM_DEPTH, encode, fragment, parts

__all__ = ["ITEM_DEPTH", "Malformed", "decode", "decode_list", "encode", "fragment", "parts"]
