"""How the report looks: in light and in the dark, on a phone, on a wide screen and on paper.

Colours of lines and bars are Okabe and Ito's, told apart by colour-blind readers too; those of
letters have a contrast of 4.5 or more with what is behind them.
"""

STYLE = """\
:root { color-scheme: light dark; --paper: #fff; --card: #f6f7f9; --ink: #202124;
  --faint: #5f6368; --line: #e1e4e8; --accent: #0072b2; --alarm: #a63c00; --alarm-card: #fdf1e9;
  --blue: #0072b2; --vermilion: #d55e00; --green: #009e73; --purple: #aa4499; --grey: #a8adb4;
  --heat: 0 114 178; --heat-most: .75; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16181c; --card: #1f2227; --ink: #e6e8eb; --faint: #9aa0a8;
    --line: #33373e; --accent: #56b4e9; --alarm: #f5a623; --alarm-card: #2a2419;
    --blue: #56b4e9; --vermilion: #e69f00; --green: #1fbf92; --purple: #cc79a7; --grey: #5b626c;
    --heat-most: .9; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.5rem 4rem; max-width: 72rem; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
h1 { margin: 0; font-size: 1.7rem; line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 2.8rem 0 .8rem; font-size: 1.15rem; }
h3 { margin: 1.4rem 0 .7rem; font-size: 1rem; font-weight: 600; }
p { margin: .3rem 0; overflow-wrap: anywhere; }
p.faint { color: var(--faint); }
figure { margin: 0; }
.state { display: inline-block; margin: .7rem .5rem 0 0; padding: .1rem .7rem; border-radius: 99px;
  background: var(--card); border: 1px solid var(--line); font-size: .85rem; }
.state.running { color: var(--accent); border-color: var(--accent); }
.state.stopped, .state.diverged, .state.failed { color: var(--alarm); border-color: var(--alarm); }
progress { display: block; appearance: none; width: 100%; height: .5rem; margin: .9rem 0 .3rem;
  border: 0; border-radius: 4px; overflow: hidden; background: var(--line); }
progress::-webkit-progress-bar { background: var(--line); }
progress::-webkit-progress-value { background: var(--accent); }
progress::-moz-progress-bar { background: var(--accent); }
.figures { display: flex; flex-wrap: wrap; gap: .8rem; margin-top: 1.4rem; }
.figure { flex: 1 1 9rem; padding: .9rem 1.1rem; border-radius: 10px; background: var(--card); }
.figure b { display: block; font-size: 1.7rem; line-height: 1.3; font-weight: 600; }
.figure span { color: var(--faint); font-size: .85rem; }
.figure:first-child b { color: var(--accent); }
.warnings { margin: 0; padding: 0; list-style: none; display: grid; gap: .6rem; }
.warnings li { padding: .7rem 1rem; border-left: 4px solid var(--alarm); border-radius: 6px;
  background: var(--alarm-card); overflow-wrap: anywhere; }
.warnings p { margin: .15rem 0 0; }
.charts { display: grid; gap: 1.6rem 2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); }
p + .charts { margin-top: 1.3rem; }
.chart figcaption { display: flex; flex-wrap: wrap; gap: 0 1.1rem; margin-bottom: .6rem; }
.key { color: var(--faint); font-size: .85rem; }
.key i { display: inline-block; width: .7rem; height: .7rem; margin-right: .35rem;
  border-radius: 50%; }
i.blue { background: var(--blue); } i.vermilion { background: var(--vermilion); }
i.green { background: var(--green); } i.purple { background: var(--purple); }
i.grey { background: var(--grey); }
.plot { position: relative; margin: 0 .6rem 1.7rem 3.1rem; }
.plot svg { display: block; width: 100%; height: 13rem; overflow: visible; }
.plot span { position: absolute; color: var(--faint); font-size: .8rem; line-height: 1;
  white-space: nowrap; }
.ys { position: absolute; inset: 0 auto 0 -.6rem; }
.ys span { right: 0; transform: translateY(50%); }
.xs { position: absolute; left: 0; right: 0; bottom: -1.3rem; height: 1rem; }
.xs span { transform: translateX(-50%); }
svg path { fill: none; vector-effect: non-scaling-stroke; stroke-linejoin: round; }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg .line { stroke-width: 2; }
svg .noise { stroke-width: 1; opacity: .35; }
svg .dot { stroke-width: 7; stroke-linecap: round; }
svg .hover { stroke: transparent; stroke-width: 12; stroke-linecap: round; pointer-events: stroke; }
svg .lost { stroke: var(--vermilion); stroke-width: 1; stroke-dasharray: 2 3; }
svg .blue { stroke: var(--blue); } svg .vermilion { stroke: var(--vermilion); }
svg .green { stroke: var(--green); } svg .purple { stroke: var(--purple); }
.stacked { display: flex; height: 1.1rem; margin: .4rem 0 .8rem; border-radius: 5px;
  overflow: hidden; background: var(--card); }
.stacked i { flex-basis: 0; min-width: 1px; }
td i.swatch { display: inline-block; width: .7rem; height: .7rem; margin-right: .5rem;
  border-radius: 50%; }
.clips { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(20rem,
  100%), 1fr)); }
.clip { padding: .7rem; border-radius: 10px; background: var(--card); break-inside: avoid; }
.clip video { display: block; width: 100%; height: auto; border-radius: 6px; background: #000; }
.clip .lost { padding: 1rem; color: var(--faint); }
.clip figcaption { margin-top: .5rem; }
.clip .faint { font-size: .8rem; }
.weights { display: flex; align-items: flex-end; gap: 2px; height: 1.6rem; margin: .35rem 0 0 50%;
  padding-left: 2px; }
.weights i { flex: 1; min-height: 1px; background: var(--accent); border-radius: 2px 2px 0 0; }
.guesses { margin: .4rem 0; padding: 0; list-style: none; font-size: .88rem; }
.guesses li { display: grid; grid-template-columns: 1fr auto; gap: 0 .8rem; margin-bottom: .25rem; }
.guesses li span:first-child { overflow-wrap: anywhere; }
.guesses .bar { grid-column: 1 / -1; width: 100%; margin: 0; background: var(--line); }
.guesses .bar i { height: .35rem; background: var(--grey); }
.guesses .true .bar i { background: var(--accent); }
.picture { padding: .6rem; border: 1px solid var(--line); border-radius: 10px; background: #fff;
  overflow-x: auto; }
.picture img { display: block; max-width: 100%; height: auto; margin: 0 auto; }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { text-align: left; font-size: .85rem; font-weight: 500; color: var(--faint); }
th, td { padding: .32rem .8rem .32rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; overflow-wrap: break-word; }
tbody:first-child td + td { overflow-wrap: anywhere; }
th.right { white-space: normal; }
.right { text-align: right; white-space: nowrap; }
table.confusion { width: auto; border-collapse: separate; border-spacing: 2px; }
.confusion th, .confusion td { border: 0; padding: .2rem; }
.confusion thead th { vertical-align: bottom; height: 1px; }
.confusion thead span { writing-mode: vertical-rl; transform: rotate(180deg); max-height: 11rem;
  overflow: hidden; white-space: nowrap; text-overflow: ellipsis; }
.confusion tbody th { padding-right: .6rem; max-width: 11rem; overflow: hidden; text-align: right;
  white-space: nowrap; text-overflow: ellipsis; vertical-align: middle; }
.confusion tbody td { min-width: 2.1rem; height: 2.1rem; border-radius: 4px; text-align: center;
  vertical-align: middle; font-size: .8rem; background: var(--card); }
.confusion td[style] { background: rgb(var(--heat) / calc(.06 + var(--share) *
  (var(--heat-most) - .06))); }
.confusion .none { opacity: .6; }
.confusion thead td { background: none; }
.dense img { display: block; width: 100%; max-width: 44rem; height: auto;
  image-rendering: pixelated; border: 1px solid var(--line); }
.dense figcaption { max-width: 44rem; margin-top: .5rem; color: var(--faint); }
.bar { width: 12rem; margin-top: .45rem; border-radius: 3px; background: var(--card); }
.bar i { display: block; height: .55rem; border-radius: 3px; background: var(--accent); }
code, pre { font: .85rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
pre { margin: .6rem 0 0; padding: 1rem; border-radius: 10px; background: var(--card);
  overflow-x: auto; }
details > summary { cursor: pointer; color: var(--faint); margin-bottom: .6rem; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
@media (max-width: 560px) {
  body { padding: 1.4rem 1rem 3rem; }
  .bar { width: 5rem; } .guesses .bar { width: 100%; }
  .plot { margin-left: 2.7rem; }
  .figure { flex-basis: 7rem; padding: .7rem .8rem; } .figure b { font-size: 1.35rem; } }
@media print {
  body { max-width: none; padding: 0; } video::-webkit-media-controls { display: none; }
  * { print-color-adjust: exact; } section { break-inside: auto; } }
"""
