"""How a reading's page looks: on a phone, on a desk, in the dark and on paper."""

CSS = """
:root { color-scheme: light dark; --ink: #1c1e21; --quiet: #555b63; --paper: #ffffff;
  --panel: #f4f5f7; --line: #c9ced6; --warn: #fff3d6; --warn-line: #b36b00;
  --for: #c65a00; --against: #1f6fd6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --quiet: #a9b0ba; --paper: #16181b;
  --panel: #212429; --line: #454b54; --warn: #3a2d10; --warn-line: #e0a030;
  --for: #f08a30; --against: #5aa2ff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
  overflow-wrap: break-word; }
main, header { max-width: 64rem; margin: 0 auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 1.2rem 0 0.4rem; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 0.6rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1.12rem; margin: 1.5rem 0 0.3rem; }
h4 { font-size: 1rem; margin: 1.1rem 0 0.3rem; }
p, ul { margin: 0.4rem 0; max-width: 44rem; }
.banner { background: var(--panel); border-left: 0.4rem solid var(--quiet); padding: 0.6rem 0.9rem;
  max-width: none; font-weight: 600; }
.warnings { background: var(--warn); border-left: 0.4rem solid var(--warn-line);
  padding: 0.7rem 1rem; margin: 1rem 0; }
.warnings h2 { margin: 0 0 0.3rem; border: 0; font-size: 1.1rem; }
.cards { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); }
.card { background: var(--panel); border-radius: 0.4rem; padding: 0.8rem 1rem; }
.card h3 { margin: 0; }
.big { font-size: 2rem; font-weight: 650; line-height: 1.2; margin: 0; }
.quiet, figcaption, .note { color: var(--quiet); font-size: 0.87rem; }
table { border-collapse: collapse; width: 100%; font-size: 0.92rem; }
th, td { text-align: left; padding: 0.22rem 0.5rem 0.22rem 0; border-bottom: 1px solid var(--line);
  vertical-align: middle; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.files td { overflow-wrap: anywhere; }
tr.outside td { background: var(--warn); font-weight: 600; }
code { font: 0.8rem/1.4 ui-monospace, "DejaVu Sans Mono", monospace; }
svg { width: 100%; display: block; max-width: 24rem; }
svg.share { max-width: 10rem; min-width: 3.5rem; }
svg text { fill: var(--quiet); font-size: 12px; }
.axis { stroke: var(--quiet); stroke-width: 1; }
.interval { fill: var(--quiet); opacity: 0.45; }
.member { stroke: var(--quiet); stroke-width: 1.5; }
.value { fill: var(--ink); }
.for { fill: var(--for); } .against { fill: var(--against); }
figure { margin: 0; }
.told { display: grid; gap: 0.8rem; grid-template-columns: repeat(3, minmax(0, 1fr));
  max-width: 50rem; }
.slice { position: relative; line-height: 0; background: #000; }
.slice img { width: 100%; aspect-ratio: 1; image-rendering: auto; }
.slice .over { position: absolute; inset: 0; image-rendering: pixelated; }
.ruler { position: absolute; left: 4%; bottom: 4%; height: 3px; background: #fff;
  outline: 1px solid #000; }
.scale { display: grid; grid-template-columns: auto minmax(4rem, 14rem) auto; gap: 0.5rem;
  align-items: center; margin: 0.5rem 0; font-size: 0.87rem; justify-content: start; }
.scale img { width: 100%; height: 0.9rem; }
.mosaic { display: grid; gap: 3px; grid-template-columns: repeat(auto-fill, minmax(4.6rem, 1fr)); }
.mosaic figure { position: relative; line-height: 0; background: #000; }
.mosaic img { width: 100%; aspect-ratio: 1; }
.mosaic figcaption { position: absolute; left: 3px; top: 2px; line-height: 1; color: #fff;
  font-size: 0.75rem; text-shadow: 0 0 3px #000, 0 0 2px #000; }
.mosaic .marked { outline: 2px solid var(--for); outline-offset: -2px; }
.switch { position: sticky; top: 0; z-index: 1; background: var(--paper); padding: 0.3rem 0; }
main:has(#hide:checked) .over { display: none; }
@media (max-width: 30rem) { .told { gap: 0.35rem; } body { font-size: 15px; } }
@media print { :root { color-scheme: light; --ink: #000; --quiet: #444; --paper: #fff;
  --panel: #f4f5f7; --line: #bbb; --warn: #fff3d6; --warn-line: #b36b00; --for: #c65a00;
  --against: #1f6fd6; }
  body { font-size: 10pt; } .switch { display: none; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  h2, h3, h4 { break-after: avoid; } .card, figure, .task, tr { break-inside: avoid; }
  .cards { grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 0.5rem; }
  .card { padding: 0.5rem 0.6rem; } .card table { font-size: 0.8rem; } .big { font-size: 1.5rem; }
  .told { max-width: 25rem; } svg.share { min-width: 1.5rem; }
  .plane > .quiet { break-after: avoid; }
  .mosaic { grid-template-columns: repeat(10, 1fr); } @page { margin: 14mm; } }
"""
