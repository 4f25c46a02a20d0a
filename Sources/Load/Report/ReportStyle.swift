/// The style sheet of a report: light and dark as the reader's system is, and black on white on paper.
let reportStyle = """
    :root {
      color-scheme: light dark;
      --page: #ffffff; --text: #1c2024; --faint: #60686f; --rule: #d8dde2; --bad: #b3261e;
      --line-0: #0b62c4; --line-1: #c4510b; --line-2: #2c7a3f;
    }
    @media (prefers-color-scheme: dark) {
      :root {
        --page: #14171a; --text: #e6e9ec; --faint: #9aa3ab; --rule: #343a40; --bad: #ff8a80;
        --line-0: #6cb2ff; --line-1: #ffa25e; --line-2: #7bd08f;
      }
    }
    body {
      margin: 0; background: var(--page); color: var(--text);
      font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif;
    }
    main { max-width: 60rem; margin: 0 auto; padding: 1.5rem; }
    h1 { font-size: 1.5rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
    h2 { font-size: 1.15rem; margin: 2rem 0 .25rem; border-top: 1px solid var(--rule); padding-top: 1rem; }
    .facts { color: var(--faint); margin: 0 0 1rem; font-size: .9rem; }
    .notice { color: var(--bad); }
    .table { overflow-x: auto; }
    table { border-collapse: collapse; width: 100%; font-size: .9rem; margin: .5rem 0 1rem; }
    th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--rule); white-space: nowrap; }
    th { color: var(--faint); font-weight: 600; }
    td { font-variant-numeric: tabular-nums; }
    th:first-child, td:first-child { text-align: left; padding-left: 0; }
    figure { margin: 1rem 0; }
    svg { width: 100%; height: auto; display: block; }
    .chart-title { font-size: 14px; font-weight: 600; fill: var(--text); }
    .label { font-size: 12px; fill: var(--faint); }
    .end { text-anchor: end; }
    .middle { text-anchor: middle; }
    .grid { stroke: var(--rule); stroke-width: 1; }
    .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
    .line-0 { stroke: var(--line-0); }
    .line-1 { stroke: var(--line-1); stroke-dasharray: 7 3; }
    .line-2 { stroke: var(--line-2); stroke-dasharray: 2 3; }
    @media print {
      @page { size: A4; margin: 15mm; }
      :root {
        --page: #ffffff; --text: #000000; --faint: #444444; --rule: #bbbbbb; --bad: #000000;
        --line-0: #000000; --line-1: #555555; --line-2: #888888;
      }
      body { font-size: 10pt; }
      main { max-width: none; padding: 0; }
      h2 { break-after: avoid; }
      figure, table { break-inside: avoid; }
    }

    """
