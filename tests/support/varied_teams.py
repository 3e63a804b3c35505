"""Varied teams: a declared state in which every field of a team file occurs, made from a seed.

    VariedTeams(seed=1).contents(100)

The same seed always gives the same teams. Each field is given by some teams and left out by others,
so that a procedure meets the combinations that platforms have, not only the tidy ones.
"""

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from tests.support.harness import Data

T = TypeVar("T")

OLD = "old-{team}"
"""The pattern of explicit names of namespaces and projects."""
PROVIDER = "corp"
"""The alias of the external identity provider."""
SINK_NAMESPACE = "pipelines"
"""The namespace of the sinks. It belongs to no team."""
MEMBERS = tuple(f"user-{number}" for number in range(12))
"""The users who are members of teams."""
GROUPS = ("auditors", "all-teams-admin", "Data Stewards")
"""Groups of other people who have a role in projects of teams."""

_WORDS = (
    "shop",
    "data",
    "web",
    "search",
    "pay",
    "mail",
    "edge",
    "risk",
    "lab",
    "core",
    "ads",
    "hr",
)
_LABELS = ("example.com/cost-centre", "example.com/tier", "owner", "env")
_ROLES = ("projectAdmin", "maintainer", "developer", "guest", "limitedGuest")
_ACCESS = (
    "repository:pull",
    "repository:push",
    "repository:list",
    "artifact:read",
    "artifact:list",
    "tag:create",
    "tag:list",
    "scan:create",
    "label:read",
)
_BY_SYSTEM: Data = {
    "harbor": "yes",
    "keycloak": "never",
    "kubernetes": "if-identical",
    "istio": "yes",
}
_PLATFORM: Data = {
    "name": "Varied platform",
    "id": "varied",
    "harbor": {"registry": "registry.example.com"},
    "keycloak": {"external_providers": {PROVIDER: {"group_name": "k8s-{group}"}}},
    "kubernetes": {"group_prefix": "oidc:"},
    "mesh": {"gateway": "istio-ingress/public"},
    "defaults": {
        "harbor": {"storage_quota": "10Gi", "groups": {"all-teams-admin": "projectAdmin"}},
        "namespace": {"quota": {"pods": 50}},
        "robots": {
            "pull": {"access": ["repository:pull"], "expiry_days": 90, "attach": True},
            "ci": {"access": ["repository:pull", "repository:push"], "expiry_days": 90},
        },
    },
    "profiles": {
        "production": {
            "harbor": {"storage_quota": "100Gi", "immutable_tags": [{"tags": "v*"}]},
            "namespace": {"pod_security": "restricted", "quota": {"pods": 300}},
        },
        "sandbox": {"namespace": {"labels": {"env": "sandbox"}, "quota": {"pods": 10}}},
    },
}


class VariedTeams:
    """Generates the contents of `platform.yaml` and of team files.

    Args:
        seed: selects the teams.
        suffix: ends the name of each team and of each further group, so that they are unique on
            systems that hold other data.
        registry: the registry's host in `platform.yaml`; if empty, Harbor's own.
        renamed: give explicit names to the objects of some teams.
    """

    def __init__(
        self,
        seed: int,
        suffix: str = "",
        registry: str = "registry.example.com",
        *,
        renamed: bool = False,
    ) -> None:
        self._random = random.Random(seed)
        self._suffix = suffix
        self._registry = registry
        self._renamed = renamed

    def platform(self) -> Data:
        """Return the content of `platform.yaml`; `tests.support.harness.admit` adds the policy."""
        return {**_PLATFORM, "harbor": {"registry": self._registry} if self._registry else {}}

    def contents(self, count: int) -> list[Data]:
        """Return the contents of the files of this many teams."""
        return [self._team(number) for number in range(count)]

    # Choices

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def _one(self, choices: Sequence[T]) -> T:
        return self._random.choice(choices)

    def _some(self, choices: Sequence[T], least: int = 1, most: int = 3) -> list[T]:
        """Return different choices in their order."""
        wanted = self._random.randint(least, min(most, len(choices)))
        chosen = set(self._random.sample(range(len(choices)), wanted))
        return [choice for index, choice in enumerate(choices) if index in chosen]

    def _given(self, fields: dict[str, tuple[float, Callable[[], Any]]]) -> dict[str, Any]:
        """Return each field with its probability."""
        return {name: make() for name, (chance, make) in fields.items() if self._chance(chance)}

    # A team

    def _team(self, number: int) -> Data:
        name = f"{self._one(_WORDS)}-{number}{self._suffix}"
        fields = self._given(
            {
                "display_name": (0.5, lambda: f"Team {number}: Größe & Maß"),
                "contact": (0.4, lambda: f"#{name}"),
                "profile": (0.4, lambda: self._one(["production", "sandbox"])),
                "group": (0.15, lambda: f"People of {name}"),
                "members": (0.4, lambda: self._some(MEMBERS, 0, 4)),
                "external_groups": (0.25, lambda: {PROVIDER: self._external_names(name)}),
                "drift": (0.1, self._drift),
                "adopt": (0.15, lambda: self._one(["if-identical", "yes", _BY_SYSTEM])),
                "harbor": (0.7, self._harbor),
                "namespace": (0.7, self._namespace),
                "further_namespaces": (0.4, self._further),
                "robots": (0.6, lambda: self._robots(name)),
                "oidc_clients": (0.4, lambda: self._clients(name)),
                "routes": (0.4, lambda: self._routes(name)),
            }
        )
        renamed = self._renamed and self._chance(0.2)
        names = {"names": self._names(name, fields)} if renamed else {}
        return {"name": name, **fields, **names}

    def _names(self, team: str, fields: Data) -> Data:
        """Return explicit names of some objects: those that they had before Tenantry."""
        robots = [purpose for purpose, robot in fields.get("robots", {}).items() if robot]
        clients = list(fields.get("oidc_clients", {}))
        further = list(fields.get("further_namespaces", {}))
        given = {
            "namespace": OLD.replace("{team}", team),
            "project": OLD.replace("{team}", team),
            "further_namespaces": {key: f"{OLD.replace('{team}', team)}-{key}" for key in further},
            "secrets": {purpose: f"registry-{purpose}" for purpose in robots},
            "clients": {key: f"{team}.{key}" for key in clients},
            "client_secrets": {key: f"sso-{key}" for key in clients},
        }
        return {key: given[key] for key in self._some([*given], 2, 5) if given[key]}

    def _external_names(self, name: str) -> list[str]:
        return [f"CN={name},OU=People", *([f"{name}-admins"] if self._chance(0.3) else [])]

    def _drift(self) -> Data:
        rule = {"system": "kubernetes", "kind": "ResourceQuota", "key": "*/extra"}
        field = {"field": "spec.hard.pods"}
        return {"ignore": [{**rule, **field, "reason": "an experiment", "until": "2099-12-31"}]}

    # Harbor

    def _harbor(self) -> Data:
        vulnerable = {"prevent_vulnerable": True, "severity": self._one(["low", "high"])}
        return {
            **self._given(
                {
                    "role": (0.4, lambda: self._one(_ROLES)),
                    "groups": (
                        0.4,
                        lambda: {
                            group + (self._suffix if group != "all-teams-admin" else ""): role
                            for group in self._some(GROUPS)
                            for role in [self._one(_ROLES)]
                        },
                    ),
                    "storage_quota": (0.4, lambda: self._one(["5Gi", "500Mi", "unlimited"])),
                    "public": (0.1, lambda: True),
                    "auto_scan": (0.4, lambda: self._one([True, False])),
                    "require_cosign": (0.2, lambda: self._one([True, False])),
                    "retention": (0.4, self._retention),
                    "immutable_tags": (0.4, self._immutable_tags),
                }
            ),
            **(vulnerable if self._chance(0.3) else {}),
        }

    def _retention(self) -> Data:
        kinds = ["latest_pushed", "latest_pulled", "pushed_within_days", "pulled_within_days"]
        rules = [
            {
                kind: self._random.randint(1, 60),
                **self._given(
                    {
                        "repositories": (0.3, lambda: self._one(["web", "apps/**"])),
                        "tags": (0.5, lambda: self._one(["v*", "release-*", "main"])),
                        "untagged": (0.3, lambda: False),
                    }
                ),
            }
            for kind in self._some(kinds)
        ]
        return {
            "rules": rules,
            **self._given({"schedule": (0.6, lambda: self._one(["0 3 * * *", "30 1 * * 0"]))}),
        }

    def _immutable_tags(self) -> list[Data]:
        patterns = self._some([("**", "v*"), ("apps/**", "release-*"), ("web", "**")], 0, 3)
        return [{"repositories": repositories, "tags": tags} for repositories, tags in patterns]

    # Robots

    def _robots(self, team: str) -> Data:
        robots: dict[str, Any] = {}
        for purpose in self._some(["pull", "ci", "scanner", "mirror"]):
            robots[purpose] = self._robot(team, purpose)
        if "ci" not in robots and self._chance(0.2):
            robots["ci"] = None
        return robots

    def _robot(self, team: str, purpose: str) -> Data:
        expiry = self._one([30, 90, 365, "never"])
        age = self._one([10, 20])
        return self._given(
            {
                "access": (0.7, lambda: self._some(_ACCESS, 1, 5)),
                "expiry_days": (1.0, lambda: expiry),
                "rotation": (0.6, lambda: self._rotation(age)),
                "attach": (0.4, lambda: self._chance(0.6)),
                "sinks": (0.3, lambda: self._sinks(purpose)),
                "replaces": (0.1, lambda: [f"legacy-{team}-{purpose}"]),
            }
        )

    def _rotation(self, age: int) -> Data:
        return {
            "max_age_days": age,
            **self._given(
                {
                    "before_expiry_days": (0.3, lambda: self._random.randint(2, 5)),
                    "overlap_hours": (0.3, lambda: self._random.randint(1, 48)),
                    "deletion_hours": (0.3, lambda: self._random.randint(1, 200)),
                }
            ),
        }

    def _sinks(self, purpose: str) -> list[Data]:
        formats = self._some(["docker", "config.json", "basic"], 1, 2)
        return [
            {
                "namespace": SINK_NAMESPACE,
                "name": f"{purpose}-{'{team}'}-{format.partition('.')[0]}",
                "format": format,
            }
            for format in formats
        ]

    # Kubernetes

    def _further(self) -> Data:
        return {
            key: self._one([{}, self._namespace(), self._namespace()])
            for key in self._some(["jobs", "dev", "qa"])
        }

    def _namespace(self) -> Data:
        return self._given(
            {
                "labels": (0.4, lambda: {key: f"v{key[-1]}1" for key in self._some(_LABELS)}),
                "annotations": (0.3, lambda: {"example.com/note": "A note: über\ttwo\nlines"}),
                "pod_security": (0.4, lambda: self._one(["privileged", "baseline", "restricted"])),
                "mesh": (0.3, lambda: self._one([True, False, "stable-1"])),
                "quota": (0.5, self._quota),
                "limits": (0.4, self._limits),
                "network": (0.5, self._network),
                "cluster_role": (0.1, lambda: self._one(["view", "edit", None])),
            }
        )

    def _quota(self) -> Data:
        amounts = {
            "requests.cpu": self._one(["4", "500m", "2.5"]),
            "requests.memory": self._one(["8Gi", "512Mi"]),
            "limits.memory": "16Gi",
            "pods": self._random.randint(1, 200),
            "services.loadbalancers": 0,
            "count/jobs.batch": 20,
            "requests.storage": "100Gi",
        }
        return {name: amounts[name] for name in self._some(list(amounts), 0, 4)}

    def _limits(self) -> Data:
        return self._given(
            {
                "min": (0.4, lambda: {"cpu": "10m", "memory": "16Mi"}),
                "default_request": (0.6, lambda: {"cpu": "100m", "memory": "128Mi"}),
                "default": (0.6, lambda: {"cpu": "0.5", "memory": "512Mi"}),
                "max": (0.4, lambda: {"cpu": "2", "memory": "4Gi"}),
            }
        )

    def _network(self) -> Data:
        return self._given(
            {
                "deny_by_default": (0.2, lambda: self._one([True, False])),
                "allow_dns": (0.35, lambda: False),
                "allow_same_namespace": (0.35, lambda: False),
                "allow_mesh": (0.35, lambda: False),
                "allow_gateway": (0.35, lambda: False),
                "policies": (0.6, self._policies),
            }
        )

    def _policies(self) -> Data:
        specs: dict[str, Data] = {
            "metrics": {"ingress": [{"ports": [{"port": 9090}]}]},
            "database": {
                "podSelector": {"matchLabels": {"app": "web"}},
                "egress": [
                    {
                        "to": [{"ipBlock": {"cidr": "10.1.0.0/16", "except": ["10.1.9.0/24"]}}],
                        "ports": [{"protocol": "TCP", "port": 5432, "endPort": 5440}],
                    }
                ],
            },
            "probes": {
                "podSelector": {
                    "matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "api"]}]
                },
                "policyTypes": ["Ingress"],
                "ingress": [
                    {
                        "from": [
                            {
                                "namespaceSelector": {"matchLabels": {"probes": "yes"}},
                                "podSelector": {},
                            }
                        ]
                    }
                ],
            },
        }
        return {name: specs[name] for name in self._some(list(specs))}

    # Keycloak and Istio

    def _clients(self, team: str) -> Data:
        return {
            name: {
                "redirect_uris": [f"https://{name}.{team}.example.com/oauth2/callback"],
                **self._given(
                    {
                        "post_logout_redirect_uris": (
                            0.4,
                            partial(list, [f"https://{name}.{team}.example.com/bye"]),
                        ),
                        "web_origins": (
                            0.4,
                            partial(list, [f"https://{name}.{team}.example.com"]),
                        ),
                        "public": (0.3, lambda: True),
                    }
                ),
            }
            for name in self._some(["web", "grafana", "spa"], 1, 2)
        }

    def _routes(self, team: str) -> Data:
        return {
            name: {
                "host": f"{name}.{team}.example.com",
                "paths": self._paths(),
                **self._given(
                    {
                        "kind": (0.6, lambda: self._one(["VirtualService", "HTTPRoute"])),
                        "gateway": (0.2, lambda: "istio-ingress/internal"),
                    }
                ),
            }
            for name in self._some(["web", "api", "docs"], 1, 2)
        }

    def _paths(self) -> list[Data]:
        last = {
            "service": "frontend",
            "port": self._one([80, 8080]),
            **self._given({"prefix": (0.5, lambda: "/")}),
        }
        first = {"prefix": "/api/", "service": "backend", "port": 8080}
        return [first, last] if self._chance(0.5) else [last]
