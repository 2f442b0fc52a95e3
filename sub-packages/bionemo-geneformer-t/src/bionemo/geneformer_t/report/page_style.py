"""How the page of a report looks on a screen and on paper."""

from bionemo.geneformer_t.report.figures.style import MODEL

CSS = f"""\
:root {{ --ink: #1b1f23; --quiet: #57606a; --line: #d5dbe0; --model: {MODEL}; }}
* {{ box-sizing: border-box; }}
body {{
  margin: 0 auto; max-width: 1120px; padding: 2rem 2rem 4rem; color: var(--ink);
  background: #fff; font: 16px/1.5 system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif;
}}
h1 {{ font-size: 1.75rem; line-height: 1.25; margin: 0 0 .25rem; overflow-wrap: anywhere; }}
h2 {{
  font-size: 1.25rem; margin: 2.75rem 0 .75rem; padding-top: .75rem;
  border-top: 2px solid var(--model);
}}
p, ul {{ margin: .5rem 0 .75rem; max-width: 56rem; }}
.under {{ color: var(--quiet); overflow-wrap: anywhere; }}
.verdict {{
  margin: 1rem 0; padding: .75rem 1rem; border-left: 4px solid var(--model);
  background: #f2f7fa; max-width: none;
}}
nav {{ display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin-top: 1rem; }}
a {{ color: var(--model); }}
small {{ color: var(--quiet); font-size: .875rem; }}
table {{ border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }}
caption {{ text-align: left; color: var(--quiet); padding: .25rem 0 .4rem; }}
th, td {{ padding: .3rem .5rem; text-align: right; vertical-align: top; }}
thead th {{ font-weight: 600; vertical-align: bottom; }}
thead tr:last-child > * {{ border-bottom: 1px solid var(--ink); }}
thead tr:last-child:not(:first-child) th {{ font-weight: 400; color: var(--quiet); }}
thead tr:not(:last-child) th {{ padding-bottom: 0; }}
th[scope="colgroup"] {{ text-align: center; }}
th[scope="colgroup"]::after {{
  content: ""; display: block; border-bottom: 1px solid var(--line); margin: .1rem 0 .2rem;
}}
.scroll th, .scroll td {{ white-space: nowrap; }}
.scroll tbody th {{ white-space: normal; min-width: 7rem; overflow-wrap: anywhere; }}
tbody th {{ font-weight: 400; }}
.settings {{ columns: 3; list-style: none; margin: 0; padding: 0; max-width: none; }}
tbody tr {{ border-bottom: 1px solid var(--line); }}
tr > :first-child {{ text-align: left; }}
.facts td {{ text-align: left; overflow-wrap: anywhere; }}
.facts th {{ font-weight: 600; white-space: nowrap; }}
.facts, .scroll {{ margin: .75rem 0 1.5rem; }}
.scroll {{ overflow-x: auto; }}
.marked {{ background: #f2f7fa; }}
.marked th, .marked td {{ font-weight: 600; }}
.warnings li {{ margin-bottom: .4rem; }}
figure {{ margin: 1rem 0; }}
img {{ max-width: 100%; height: auto; display: block; }}
code {{ font-size: .875em; overflow-wrap: anywhere; }}
footer {{ margin-top: 3rem; border-top: 1px solid var(--line); color: var(--quiet); }}
@page {{ size: A4; margin: 15mm; }}
@media print {{
  body {{ max-width: none; padding: 0; font-size: 10pt; }}
  nav {{ display: none; }}
  table {{ font-size: 7.5pt; }}
  th, td {{ padding: .2rem .35rem; }}
  h2 {{ break-after: avoid; margin-top: 1.5rem; }}
  figure, p, li, .scroll, .facts, .verdict {{ break-inside: avoid; }}
  section > p {{ break-after: avoid; }}
  img {{ max-height: 200mm; width: auto; }}
  small {{ font-size: 8pt; }}
  .scroll {{ overflow: visible; }}
  .scroll tbody th {{ min-width: 0; }}
  .marked, .verdict {{ print-color-adjust: exact; -webkit-print-color-adjust: exact; }}
}}
"""
