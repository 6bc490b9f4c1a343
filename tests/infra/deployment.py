"""What one set of parameters deploys, read from a snapshot of the compiler."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROLES = "/providers/Microsoft.Authorization/roleAssignments/"
DIAGNOSTICS = "/providers/Microsoft.Insights/diagnosticSettings/"
# Who is who in tests/infra/parameters.
PRINCIPALS = {
    "11111111-1111-1111-1111-111111111111": "operators",
    "22222222-2222-2222-2222-222222222222": "eMabler",
    "33333333-3333-3333-3333-333333333333": "operators",
}
_ROLES_FILE = Path(__file__).resolve().parent.parent.parent / "infra" / "roles.bicep"

BUILT_IN_ROLES = {
    # Azure's own ids, from its list of built-in roles: the template is held to these.
    "Azure Service Bus Data Receiver": "4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0",
    "Azure Service Bus Data Sender": "69a216fc-b8fb-44d8-bc22-1f3c2cd27a39",
    "Key Vault Secrets Officer": "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
    "Key Vault Secrets User": "4633458b-17de-408a-b874-0445c86b69e6",
    "Log Analytics Reader": "73c42c96-874c-492b-b04d-ab87d138a893",
    "Monitoring Metrics Publisher": "3913510d-42f4-4e42-8a64-420c390055eb",
    "Storage Blob Data Contributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "Storage Blob Data Owner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "Storage Table Data Contributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
}


_ACCOUNT = "Microsoft.Storage/storageAccounts/(?P<account>[^/]+)"
PLACES = {
    _ACCOUNT: "{account}",
    _ACCOUNT + "/tableServices/default/tables/(?P<part>[^/]+)": "table {part} of {account}",
    _ACCOUNT + "/blobServices/default/containers/(?P<part>[^/]+)": "container {part} of {account}",
    "Microsoft.ServiceBus/namespaces/[^/]+": "the namespace",
    "Microsoft.ServiceBus/namespaces/[^/]+/queues/[^/]+": "the queue",
    "Microsoft.KeyVault/vaults/[^/]+": "the vault",
    "Microsoft.KeyVault/vaults/[^/]+/secrets/(?P<part>[^/]+)": "secret {part}",
    "Microsoft.Insights/components/[^/]+": "the component",
    "Microsoft.OperationalInsights/workspaces/[^/]+": "the workspace",
}
"""Resource ids, from the provider on, and what docs/security.md calls them."""


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """A role that somebody is given on something, in the words of docs/security.md."""

    who: str
    role: str
    on: str


class Deployment:
    """The resources, outputs and diagnostics of a snapshot."""

    def __init__(self, name: str, snapshot: dict[str, Any]) -> None:
        self.name = name
        self.snapshot = snapshot
        self.resources: list[dict[str, Any]] = snapshot["predictedResources"]
        self.outputs: dict[str, Any] = snapshot["outputs"]
        self.diagnostics: list[Any] = snapshot["diagnostics"]

    def __repr__(self) -> str:
        return f"Deployment({self.name})"

    def of(self, kind: str) -> list[dict[str, Any]]:
        """All resources of a type, such as `Microsoft.KeyVault/vaults`."""
        return [each for each in self.resources if each["type"] == kind]

    def one(self, kind: str, ending: str = "") -> dict[str, Any]:
        """The only resource of a type whose name ends so."""
        (found,) = (each for each in self.of(kind) if each["name"].endswith(ending))
        return found

    @property
    def app_settings(self) -> dict[str, str]:
        """The settings of the function app."""
        settings: dict[str, str] = self.one("Microsoft.Web/sites/config", "/appsettings")[
            "properties"
        ]
        return settings

    @property
    def isolated(self) -> bool:
        """Whether there is a virtual network."""
        return bool(self.of("Microsoft.Network/virtualNetworks"))

    @property
    def account_names(self) -> dict[str, str]:
        """The storage accounts by name: the host's and that of the data."""
        return {
            each["name"]: "the host's storage account"
            if each["name"].startswith("sth")
            else "the data account"
            for each in self.of("Microsoft.Storage/storageAccounts")
        }

    def grants(self) -> list[Grant]:
        """All role assignments."""
        return sorted(self._grants())

    def _grants(self) -> Iterator[Grant]:
        names = {identity: name for name, identity in BUILT_IN_ROLES.items()}
        for each in self.of("Microsoft.Authorization/roleAssignments"):
            scope, separator, _ = each["id"].rpartition(ROLES)
            role = each["properties"]["roleDefinitionId"].rpartition("/")[2]
            custom = [
                d for d in self.of("Microsoft.Authorization/roleDefinitions") if role in d["id"]
            ]
            yield Grant(
                self._principal(each["properties"]["principalId"]),
                names.get(role, "the counts reader" if custom else role),
                self.place(scope) if separator else each["id"],
            )

    @staticmethod
    def _principal(identity: str) -> str:
        if identity.startswith("[reference(") and "userAssignedIdentities" in identity:
            return "the query alerts" if "-alerts-" in identity else "the app"
        return PRINCIPALS.get(identity, identity)

    def place(self, identity: str) -> str:
        """What a resource id names, in the words of docs/security.md."""
        in_group = re.fullmatch(
            r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/(.+)", identity
        )
        if in_group is None:
            return "the resource group" if "/resourceGroups/" in identity else "the subscription"
        for pattern, words in PLACES.items():
            match = re.fullmatch(pattern, in_group[1])
            if match:
                account = self.account_names.get(match.groupdict().get("account", ""), "")
                return words.format(account=account, part=match.groupdict().get("part"))
        return in_group[1]


def load(path: Path) -> Deployment:
    """The deployment that a committed snapshot shows."""
    name = path.name.removesuffix(".snapshot.json")
    return Deployment(name, json.loads(path.read_text(encoding="utf-8")))


def role_table() -> dict[str, str]:
    """The role ids of infra/roles.bicep."""
    text = _ROLES_FILE.read_text(encoding="utf-8")
    return dict(re.findall(r"^  '([^']+)': '([0-9a-f-]{36})'$", text, re.MULTILINE))
