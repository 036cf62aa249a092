"""Accepted licences of data sets, noted once for each, below the cache."""

from __future__ import annotations

import json
from pathlib import Path

from benchmark.domains.assets import Asset
from benchmark.errors import ConfigError, DataError
from benchmark.system.files import new_file

NOTE = "accepted-licences.json"


def require_licence(card: Asset, cache: Path, accept: bool) -> None:
    """ConfigError unless this licence of the card was accepted, now or earlier. DataError for a damaged note."""
    path = Path(cache) / "targets" / NOTE
    try:
        accepted = json.loads(path.read_bytes()) if path.exists() else {}
        if not isinstance(accepted, dict):
            raise ValueError
        if accepted.get(card.name) == card.licence:
            return
        if not accept:
            raise ConfigError(f"{terms(card)}. If you accept that, say so once: add --accept-licence")
        with new_file(path) as temporary:
            temporary.write_text(json.dumps({**accepted, card.name: card.licence}, indent=1, sort_keys=True), "utf-8")
    except ValueError as error:
        raise DataError(f"{path} is damaged; remove it and accept the licences again") from error
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}; choose another --cache") from error


def terms(card: Asset) -> str:
    """Whose the set is and what may be done with it, on one line."""
    where = f" ({card.licence_url})" if card.licence_url else ""
    use = "; not for commercial use" if card.non_commercial else ""
    return f"{card.name} is by {card.creator}, licence: {card.licence}{where}{use}"
