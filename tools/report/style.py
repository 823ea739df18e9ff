"""The look of the page: calm, readable on a phone and on paper, light and dark."""

STYLE = """
:root {
  --paper: #fbfbfa; --card: #ffffff; --ink: #1c1d1f; --muted: #63666b; --rule: #e3e3df;
  --accent: #0b62a8; --right: #15803d; --wrong: #c2371b; --other: #b45309; --mark: #fdf0c4;
  --series-1: #0b6bb5; --series-2: #d1550a; --series-3: #0c8f6c; --series-4: #a8478f;
  --series-5: #b98900; --series-6: #4a5ad0;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #16181a; --card: #1e2123; --ink: #e8e8e6; --muted: #9da2a8; --rule: #34383b;
    --accent: #7cb8ee; --right: #4ac27a; --wrong: #f0785c; --other: #e5a13c; --mark: #4d4318;
    --series-1: #5aa9e6; --series-2: #f08a4b; --series-3: #3fc39b; --series-4: #d989c3;
    --series-5: #e0b53c; --series-6: #939ff5;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; max-width: 72rem; padding: 2rem 1.25rem 4rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto,
  "Liberation Sans", Arial, sans-serif; font-variant-numeric: tabular-nums;
}
h1 {
  font-size: 1.9rem; line-height: 1.2; margin: 0; letter-spacing: -0.01em;
  overflow-wrap: anywhere;
}
h2 { font-size: 1.3rem; margin: 0 0 1rem; letter-spacing: -0.005em; }
h3 { font-size: 1rem; margin: 2rem 0 0.6rem; }
h3 .aside { font-weight: 400; color: var(--muted); }
p { margin: 0.4rem 0; }
.note { color: var(--muted); font-size: 0.9rem; max-width: 48rem; overflow-wrap: anywhere; }
section { margin-top: 3.2rem; padding-top: 1.4rem; border-top: 1px solid var(--rule); }
nav { display: flex; flex-wrap: wrap; gap: 0.2rem 1.2rem; margin-top: 1.6rem; font-size: 0.9rem; }
a { color: var(--accent); text-decoration: none; }
a:hover, a:focus { text-decoration: underline; }

.tiles {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: 0.8rem;
  margin-top: 1.5rem;
}
.tile-number {
  background: var(--card); border: 1px solid var(--rule); border-radius: 8px;
  padding: 0.8rem 1rem;
}
.tile-number span { display: block; color: var(--muted); font-size: 0.85rem; }
.tile-number b {
  display: block; font-size: 2rem; font-weight: 600; line-height: 1.25; letter-spacing: -0.02em;
}
.tile-number small {
  font-size: 1rem; font-weight: 400; color: var(--muted); margin-left: 0.2rem;
}

.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.92rem; }
caption { text-align: left; color: var(--muted); font-size: 0.85rem; padding-bottom: 0.4rem; }
th, td { padding: 0.34rem 0; text-align: left; vertical-align: baseline; }
thead th {
  font-weight: 500; color: var(--muted); border-bottom: 1px solid var(--rule);
  white-space: nowrap;
}
tbody tr + tr > * { border-top: 1px solid var(--rule); }
tbody th { font-weight: 400; padding-right: 1.5rem; }
.numbers td, .numbers thead th:not(:first-child) { text-align: right; padding-left: 1.6rem; }
.columns { columns: 20rem; column-gap: 2.5rem; }
.columns .scroll { break-inside: avoid; margin-bottom: 1.6rem; }
.settings { width: 100%; }
.settings caption { color: var(--ink); font-weight: 600; }
.settings th { color: var(--muted); white-space: nowrap; }
.settings td { text-align: right; overflow-wrap: anywhere; }
mark { background: var(--mark); color: inherit; padding: 0 0.25em; border-radius: 3px; }

.charts {
  display: grid; align-items: start;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); gap: 1.6rem 2rem;
}
.maps {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr));
  gap: 1.5rem; margin-top: 1rem;
}
figure { margin: 0; }
.maps .chart svg { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; }
.chart {
  display: grid; grid-row: span 2; grid-template-rows: subgrid; gap: 0.3rem; break-inside: avoid;
}
.beside { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 20rem); gap: 1rem 3rem; }
.beside .chart { grid-row: auto; grid-template-rows: auto; align-content: start; }
.chart svg { display: block; width: 100%; height: auto; }
.chart svg text { font-family: inherit !important; }
.chart figcaption {
  display: flex; flex-wrap: wrap; gap: 0 0.9rem; font-size: 0.9rem; align-content: start;
}
.chart b { font-weight: 600; }
.key {
  display: flex; flex-wrap: wrap; gap: 0 0.9rem; color: var(--muted); font-size: 0.82rem;
  align-items: center;
}
.sample {
  display: inline-block; width: 1.5em; border-top: 2.5px solid; margin-right: 0.4em;
  vertical-align: middle;
}
.sample.dashed { border-top-style: dashed; }
.sample.dotted { border-top-style: dotted; }
.sample.filled { width: 0.7em; height: 0.7em; border: 0; background: currentColor; }
details { margin-top: 1.4rem; }
summary { cursor: pointer; color: var(--accent); font-size: 0.9rem; margin-bottom: 0.6rem; }

.facts { display: flex; flex-wrap: wrap; gap: 0.8rem 2.4rem; margin: 0 0 1rem; }
.facts dt { color: var(--muted); font-size: 0.85rem; }
.facts dd { margin: 0; font-size: 1.35rem; font-weight: 600; letter-spacing: -0.01em; }

.row, .sheet { break-inside: avoid; }
.row { margin-bottom: 1.1rem; }
.row-title { color: var(--muted); font-size: 0.85rem; margin: 0 0 0.3rem; }
.strip { display: grid; grid-template-columns: repeat(12, minmax(0, 1fr)); gap: 0.5rem; }
.ranked { grid-template-columns: repeat(11, minmax(0, 1fr)); }
.sheets {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 28rem), 1fr));
  gap: 1.4rem 2.5rem;
}
.sheets .strip { grid-template-columns: repeat(6, minmax(0, 1fr)); }
.tile { position: relative; min-width: 0; }
.tile img, .missing {
  display: block; width: 100%; height: auto; aspect-ratio: var(--shape); object-fit: contain;
  background: var(--rule); border-radius: 3px; outline: 2px solid transparent;
}
.missing {
  display: grid; place-items: center; min-height: 5rem; font-size: 0.7rem; color: var(--muted);
  text-align: center;
}
.tile figcaption {
  font-size: 0.68rem; line-height: 1.3; color: var(--muted); margin-top: 0.3rem;
  overflow-wrap: anywhere;
}
.badge {
  position: absolute; top: 0; right: 0; min-width: 1.25em; text-align: center;
  font-size: 0.75rem; line-height: 1.3; font-weight: 700; color: var(--card);
  border-radius: 0 3px 0 4px;
}
.right img, .right .missing { outline: 2.5px solid var(--right); }
.wrong img, .wrong .missing { outline: 2.5px dashed var(--wrong); }
.other img, .other .missing { outline: 2.5px dashed var(--other); }
.query img, .query .missing { outline: 2.5px solid var(--ink); }
.right .badge { background: var(--right); }
.wrong .badge { background: var(--wrong); }
.other .badge { background: var(--other); }
.remarks { margin: 0; padding-left: 1.1rem; max-width: 48rem; overflow-wrap: anywhere; }

@media (max-width: 40rem) {
  body { padding-top: 1.2rem; font-size: 15px; }
  .beside { grid-template-columns: minmax(0, 1fr); }
  .strip, .ranked, .sheets .strip { grid-template-columns: repeat(6, minmax(0, 1fr)); }
  .numbers td, .numbers thead th:not(:first-child) { padding-left: 0.9rem; }
  .tile-number b { font-size: 1.6rem; }
}
@media print {
  :root { --paper: #fff; --card: #fff; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav, details { display: none; }
  section { margin-top: 1.6rem; }
  h2, h3 { break-after: avoid; }
  .sheets, .maps { grid-template-columns: 1fr 1fr; }
  .sheets { gap: 0.8rem 1.2rem; }
  .strip { gap: 0.3rem; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""
