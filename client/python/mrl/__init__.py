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
    SearchResult,
    SearchStats,
    ServerInfo,
    StageStats,
    WhyNot,
)

__all__ = [
    "AsyncClient",
    "Client",
    "Collection",
    "CollectionStats",
    "Explanation",
    "Hit",
    "MrlError",
    "SearchResult",
    "SearchStats",
    "ServerInfo",
    "StageStats",
    "Tls",
    "WhyNot",
]
