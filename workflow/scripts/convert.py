import sys
from pathlib import Path

from segchips.config.loading import load_config
from segchips.files import atomic_write, write_json
from segchips.pipeline.code_versions import module_version
from segchips.pipeline.made_from import write_made_from
from segchips.pipeline.scripts import reported
from segchips.records.conversion import convert_chips
from segchips.reports.chips_audit import audit_chips, write_chips_audit
from segchips.reports.chips_card import render_chips_card
from segchips.reports.chips_report import write_chips_report
from segchips.reports.chips_stac import write_chips_stac
from segchips.reports.croissant import converted_croissant
from segchips.reports.ledger import converted_rows, summarise_states, write_ledger
from segchips.tiles.assignment import MADE

with reported(snakemake.log[0]) as log:
    config = load_config(snakemake.config).conversions[snakemake.wildcards.conversion]
    folder = Path(snakemake.output.ledger).parent
    chips, shards = config.chips, folder / "tfrecords"
    recipe = module_version("records.conversion")
    conversion = convert_chips(
        chips, config.splitting, shards, config.name, config.tfrecords, snakemake.threads, recipe
    )
    rows = converted_rows(conversion.entries, shards)
    write_ledger(Path(snakemake.output.ledger), rows)
    splits = {row.tile: row.split for row in rows if row.state == MADE}
    grounds = {name: ground for name, ground in conversion.grounds.items() if name in splits}
    no_class = {chips.background, chips.unknown}
    content, lines = audit_chips(
        grounds, splits, list(config.tfrecords.splits), shards, bool(config.splitting.allow_overlap), no_class
    )
    for line in [*conversion.notes, *lines]:
        print(f"{config.name}: {line}", file=sys.stderr)
        print(line, file=log)
    card = render_chips_card(config.name, chips, shards, rows, content["shared"]["pairs"])
    atomic_write(folder / "README.md", card)
    write_json(folder / "croissant.json", converted_croissant(config.name, folder, len(splits)))
    write_chips_stac(config, folder, rows, conversion.pairs, grounds)
    page = Path(snakemake.output.page)
    write_chips_report(config, folder, rows, grounds, content, conversion.rule, page)
    write_chips_audit(Path(snakemake.output.audit), content, lines)
    print(summarise_states(rows, "chip"), file=log)
    print(f"{conversion.made} records made, {conversion.reused} reused", file=log)
    write_made_from(snakemake.params.digest, list(snakemake.output))
