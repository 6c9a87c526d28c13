"""Client for the mrl vector search server."""

from mrl.aio import AsyncClient
from mrl.client import Client
from mrl.connection import Tls
from mrl.errors import MrlError
from mrl.model import (
    Collection,
    CollectionStats,
    Explanation,
    Hit,
    Index,
    Operation,
    Point,
    SearchResult,
    SearchStats,
    ServerInfo,
    Setting,
    StageStats,
    WhyNot,
    Written,
)

__all__ = [
    "AsyncClient",
    "Client",
    "Collection",
    "CollectionStats",
    "Explanation",
    "Hit",
    "Index",
    "MrlError",
    "Operation",
    "Point",
    "SearchResult",
    "SearchStats",
    "ServerInfo",
    "Setting",
    "StageStats",
    "Tls",
    "WhyNot",
    "Written",
]
