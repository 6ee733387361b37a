"""The folder whose bundles may be loaded into a running server, and which of them fit there."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from nurture_envs.journey import Journey
from nurture_rl.errors import BundleError, ConfigError
from nurture_rl.release.bundle import Bundle, load_served

# What a journey may say otherwise than the one that is served: it bears on no fact, mask or event.
_FREE = frozenset(
    {"title", "provenance", "reward", "north_star", "supporting", "limits", "drip", "rules"}
    | {"expert", "resolved"}
)


@dataclass(frozen=True, slots=True)
class BundleFolder:
    """Bundles beside each other, one folder each; BundleError where there is no such folder."""

    path: Path
    trust: Path | None = None  # public keys that must have signed them; None: nobody has to
    signers: int = 1  # how many different ones

    @classmethod
    def of(cls, path: str | None, trust: Path | None, signers: int) -> BundleFolder | None:
        """The folder that settings name; None: they name none."""
        return None if path is None else cls(Path(path), trust, signers)

    def __post_init__(self) -> None:
        if not self.path.is_dir():
            raise BundleError(
                f"expected a folder with a folder for each bundle, got {self.path}; make it, or "
                "leave bundles out"
            )

    def load(self, name: str, served: Bundle) -> Bundle:
        """Read and verify the bundle of a name.

        Args:
            name: of a folder right under this one.
            served: what the server serves.

        Raises:
            BundleError: the name leads elsewhere, no bundle is there, it does not verify, or it
                was made for something else than is served.
        """
        found = self.path / name
        try:
            if Path(name).name != name or name.startswith(".") or found.is_symlink():
                raise BundleError(
                    f"expected the name of a folder right under the server's bundles, got {name!r};"
                    " give a plain name, and copy the bundle there where it is a link"
                )
            bundle = load_served(found, self.trust, self.signers)
        except OSError as error:
            raise BundleError(
                f"{name}: {error.strerror or error}; copy the bundle again"
            ) from error
        require_fit(served, bundle)
        return bundle


def require_signers(signers: int) -> int:
    """How many people must sign a bundle, as a setting says.

    Raises:
        ConfigError: no number of people.
    """
    if signers < 1:
        raise ConfigError(f"signers: expected 1 or more people who must sign, got {signers}")
    return signers


def require_fit(served: Bundle, bundle: Bundle) -> None:
    """Refuse a bundle that cannot decide beside another one over the same facts.

    Guardrails, actions, features, signals and clock are one for all policies of a server: no bundle
    loosens them, and a change of them takes a server that is started with the new bundle.

    Raises:
        BundleError: names what differs.
    """
    differing = [
        one.name
        for one in fields(Journey)
        if one.name not in _FREE
        and getattr(served.journey, one.name) != getattr(bundle.journey, one.name)
    ]
    if served.catalog.hash != bundle.catalog.hash:
        differing.append("catalogue")
    if served.feature_spec.hash != bundle.feature_spec.hash:
        differing.append("feature spec")
    if differing:
        raise BundleError(
            f"policy {bundle.policy_id}: expected the journey {served.journey.name} as it is "
            f"served, got one with another {', '.join(differing)}; to serve it, start the server "
            "with bundle=FOLDER of it and without bundles"
        )
