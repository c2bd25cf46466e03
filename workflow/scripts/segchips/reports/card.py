"""The dataset card, README.md in a dataset's folder."""

from pathlib import Path

import jinja2

from segchips.reports.dataset_summary import DatasetSummary
from segchips.reports.pixel_size import pixel_size

_SIZE_CATEGORIES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}


def card_environment() -> jinja2.Environment:
    """The environment of the templates of cards, with filters for numbers."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(
        number=lambda value: f"{value:,}",
        share=lambda value: f"{100 * value:.2f} %",
        figure=lambda value: "–" if value is None else f"{value:.6g}",
    )
    return environment


def size_category(chips: int) -> str:
    """The size of a dataset as Hugging Face words it."""
    return next((size for limit, size in _SIZE_CATEGORIES.items() if chips < limit), "n>1M")


def render_card(summary: DatasetSummary) -> str:
    """Render the card as Markdown with the YAML front matter that Hugging Face reads.

    Source of the front matter: https://huggingface.co/docs/hub/datasets-cards.
    """
    template = Path(__file__).with_name("card.md.j2").read_text(encoding="utf-8")
    chips = len(summary.rows_with_chips)
    return (
        card_environment()
        .from_string(template)
        .render(
            summary=summary,
            dataset=summary.dataset,
            info=summary.info,
            size=size_category(chips),
            pixel_size=pixel_size(summary.rows[0].tile),
        )
    )
