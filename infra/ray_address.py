"""Read RAY_ADDRESS: a cluster to join, or none for a private Ray; anything else is one sentence.

Ray itself would wait 40 seconds for a missing head and end in a traceback.
"""

import os
import re
from typing import Any

from schemas.errors import ConfigError

NAME = "RAY_ADDRESS"
SECONDS = 5.0  # for a head to answer
HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\s:/\[\]]+):([0-9]{1,5})")
GET_CLUSTER_ID = "/ray.rpc.NodeInfoGcsService/GetClusterId"  # a driver's first request
OURS = f"unset {NAME} to start a private Ray"


def cluster_address() -> str | None:
    """Return the host:port of the cluster to join, or None to start a private Ray.

    Raises ConfigError for an address that no driver can join. Nothing is contacted yet.
    """
    said = os.environ.get(NAME, "").strip()
    if said.lower() in ("", "local"):
        return None
    if said.lower() == "auto":
        return _newest_here()
    if "://" in said:
        raise ConfigError(_not_a_head(said))
    found = HOST_AND_PORT.fullmatch(said)
    if found is None or not 0 < int(found[2]) < 2**16:
        raise ConfigError(
            f"{NAME} must be the host:port of a cluster's head, such as 10.0.0.1:6379, found "
            f"'{said}'; write it so, or {OURS}"
        )
    return said


def _not_a_head(said: str) -> str:
    scheme = said.partition("://")[0].lower()
    kinds = {
        "http": "the dashboard, which takes jobs",
        "https": "the dashboard, which takes jobs",
        "ray": "Ray Client, which cannot train",
    }
    submit = "" if scheme == "ray" else f" --address {said}"
    return (
        f"{NAME} must be the host:port of a cluster's head, such as 10.0.0.1:6379, found '{said}', "
        f"the address of {kinds.get(scheme, 'something else')}; run this command there by "
        f"`ray job submit{submit}`, or {OURS}"
    )


def _newest_here() -> str:
    from ray._private.services import canonicalize_bootstrap_address

    try:
        found = canonicalize_bootstrap_address("auto")
    except ConnectionError:
        found = None
    if found is None:
        raise ConfigError(
            f"{NAME}=auto needs a cluster on this machine, found none; start one with "
            f"`ray start --head`, or {OURS}"
        )
    return found


def require_head(address: str) -> None:
    """Raise ConfigError unless the head of a cluster answers there and accepts our token.

    Ray's own client would abort the process without a required token.
    """
    import grpc
    from ray._private.authentication.authentication_token_setup import ensure_token_if_auth_enabled
    from ray._private.grpc_utils import init_grpc_channel
    from ray.exceptions import AuthenticationError

    try:
        ensure_token_if_auth_enabled(create_token_if_missing=False)
        channel = init_grpc_channel(address, [("grpc.enable_http_proxy", 0)])
    except AuthenticationError:
        raise ConfigError(
            "RAY_AUTH_MODE=token needs the cluster's token in RAY_AUTH_TOKEN or ~/.ray/auth_token, "
            "found none; copy it from where the cluster was started"
        ) from None
    with channel:
        try:
            channel.unary_unary(GET_CLUSTER_ID)(b"", timeout=SECONDS)
        except grpc.RpcError as error:
            raise ConfigError(f"{NAME}={address}: {_answer(error)}, or {OURS}") from None


def _answer(error: Any) -> str:
    """Describe what came instead of an answer, and what to do."""
    code = error.code().name
    if code in ("UNAUTHENTICATED", "PERMISSION_DENIED"):
        return (
            "wanted to join this cluster, found that it requires a token; set RAY_AUTH_MODE=token "
            "and RAY_AUTH_TOKEN as where it was started"
        )
    if code == "UNIMPLEMENTED":
        found = "another service on this port"
    elif code == "DEADLINE_EXCEEDED":
        found = f"no answer in {SECONDS:.0f} seconds"
    else:
        found = f"none ({' '.join(error.details().split())[:120]})"
    return f"wanted the head of a Ray cluster, found {found}; see `ray status` where it was started"
