"""Client for the mrl vector search server."""

from mrl.aio import AsyncClient
from mrl.client import Client
from mrl.connection import Tls
from mrl.errors import MrlError
from mrl.model import (
    Certificate,
    Classification,
    Collection,
    CollectionStats,
    DimensionReport,
    Explanation,
    Hit,
    Index,
    MeasuredFunnel,
    Operation,
    Point,
    PrefixQuality,
    Profile,
    ProfileVersion,
    SearchResult,
    SearchStats,
    ServerInfo,
    Setting,
    StageStats,
    Tuned,
    WhyNot,
    Written,
)

__all__ = [
    "AsyncClient",
    "Certificate",
    "Classification",
    "Client",
    "Collection",
    "CollectionStats",
    "DimensionReport",
    "Explanation",
    "Hit",
    "Index",
    "MeasuredFunnel",
    "MrlError",
    "Operation",
    "Point",
    "PrefixQuality",
    "Profile",
    "ProfileVersion",
    "SearchResult",
    "SearchStats",
    "ServerInfo",
    "Setting",
    "StageStats",
    "Tls",
    "Tuned",
    "WhyNot",
    "Written",
]
