"""A team that carries explicit names of objects that existed before, and the policy that it needs."""

from tests.support.harness import Data

NAMES: Data = {
    "namespace": "legacy-shop",
    "project": "shop.images",
    "clients": {"web": "Shop_Web"},
    "secrets": {"pull": "harbor-pullsecret"},
    "client_secrets": {"web": "web-login"},
    "further_namespaces": {"jobs": "batch"},
}
SHOP: Data = {
    "name": "shop",
    "names": NAMES,
    "group": "shop-people",
    "oidc_clients": {"web": {"redirect_uris": ["https://shop.example.com/cb"]}},
    "further_namespaces": {"jobs": {}},
}
ALLOWS: Data = {
    "namespaces": ["legacy-shop", "batch"],
    "projects": ["shop.images"],
    "clients": ["Shop_Web"],
    "groups": ["shop-people"],
}
"""The limits of the grant."""
