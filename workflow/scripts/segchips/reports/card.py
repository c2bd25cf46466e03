"""TODO: describe."""

from pathlib import Path

from segchips.reports.dataset_summary import SIZE_CATEGORIES, DatasetSummary


def render_card(facts: DatasetSummary) -> str:
    """The dataset card in Markdown, with the front matter that Hugging Face reads."""
    import jinja2

    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(
        number=lambda value: f"{value:,}",
        share=lambda value: f"{100 * value:.2f} %",
        figure=lambda value: "–" if value is None else f"{value:.6g}",
    )
    template = Path(__file__).with_name("card.md.j2").read_text(encoding="utf-8")
    count = len(facts.made)
    size = next((size for limit, size in SIZE_CATEGORIES.items() if count < limit), "n>1M")
    return environment.from_string(template).render(facts=facts, dataset=facts.dataset, info=facts.info, size=size)
