"""The dataset card of a dataset of chips made elsewhere."""

from collections.abc import Sequence
from pathlib import Path

from segchips.config.chips import ChipsConfig
from segchips.records.dataset_files import read_info
from segchips.records.statistics import statistics
from segchips.reports.card import card_environment, size_category
from segchips.reports.ledger import LedgerRow
from segchips.tiles.assignment import MADE


def render_chips_card(name: str, config: ChipsConfig, shards: Path, rows: Sequence[LedgerRow], shared: int) -> str:
    """Render the card as Markdown with the YAML front matter that Hugging Face reads.

    Args:
        name: The dataset's name.
        config: What its labels mean.
        shards: The directory of its shards.
        rows: Its ledger.
        shared: How many pairs of chips of different splits share ground.
    """
    chips = sum(row.state == MADE for row in rows)
    template = Path(__file__).with_name("chips_card.md.j2").read_text(encoding="utf-8")
    facts = {"info": read_info(shards), "splits": statistics(shards), "config": config, "shared": shared}
    return (
        card_environment()
        .from_string(template)
        .render(name=name, size=size_category(chips), chips=chips, rows=rows, **facts)
    )
