// The timeline: probability over time of the classes that matter, and where the video is.
const SVG = "http://www.w3.org/2000/svg";
const draw = (tag, attributes, kind) => {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (kind) made.setAttribute("class", kind);
  return made;
};
let shown = null;

function timeline(told, seconds) {
  shown = { told, seconds };
  at("legend").replaceChildren(...told.classes.map((each, index) => {
    const item = make("li"), name = make("span", each.name);
    name.dir = "auto";
    item.append(make("i", "", `k${index}`), name);
    return item;
  }));
  fill_table(told);
  show("when", true);
  redraw();
}

function fill_table(told) {
  const head = make("tr");
  head.append(make("th", "from"), make("th", "to"), ...told.classes.map((each) => make("th", each.name)));
  const rows = told.starts.map((start, window_number) => {
    const row = make("tr");
    row.append(make("td", clock(start)), make("td", clock(told.ends[window_number])));
    for (const each of told.classes) row.append(make("td", percent(each.probabilities[window_number])));
    return row;
  });
  at("table").replaceChildren(head, ...rows);
}

function redraw() {
  if (!shown || at("when").hidden) return;
  const { told, seconds } = shown, box = at("chart");
  const width = Math.max(260, box.clientWidth), height = 210;
  const left = 44, right = 8, top = 8, bottom = 24;
  const x = (time) => left + (width - left - right) * time / seconds;
  const y = (share) => top + (height - top - bottom) * (1 - share);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  const known = told.ends.at(-1);
  if (!told.complete && known < seconds) {  // of the rest of the video nothing can be said
    const rest = draw("rect", {
      x: x(known), y: top, width: x(seconds) - x(known), height: height - top - bottom }, "unknown");
    const title = draw("title", {});
    title.textContent = `Cannot be read after ${clock(known)}`;
    rest.append(title);
    svg.append(rest);
  }
  for (const share of [0, 0.5, 1]) {
    svg.append(draw("line", { x1: left, x2: width - right, y1: y(share), y2: y(share) }, "grid"));
    const text = draw("text", { x: left - 6, y: y(share) + 4, "text-anchor": "end" });
    text.textContent = `${100 * share} %`;
    svg.append(text);
  }
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];
  const step = steps.find((each) => seconds / each <= (width - left) / 70) || 7200;
  for (let tick = 0; tick <= seconds * 1.0001; tick += step) {
    const last = x(tick) > width - 30;
    const text = draw("text", { x: x(tick), y: height - 6, "text-anchor": last ? "end" : "middle" });
    text.textContent = clock(tick);
    svg.append(text);
  }
  const middles = told.starts.map((start, index) => (start + told.ends[index]) / 2);
  // The most probable is drawn last, above the others.
  told.classes.map((each, index) => [each, index]).reverse().forEach(([each, index]) => {
    const points = each.probabilities.map((share, at_window) => `${x(middles[at_window])},${y(share)}`);
    svg.append(draw("polyline", { points: points.join(" ") }, `k${index}`));
    if (points.length <= 60) each.probabilities.forEach((share, at_window) => {
      svg.append(draw("circle", { cx: x(middles[at_window]), cy: y(share), r: 2.5 }, `k${index}`));
    });
  });
  const head = draw("line", { y1: top, y2: height - bottom }, "head");
  svg.append(head);
  box.replaceChildren(svg);
  Object.assign(shown, { head, x, left, right, width });
  mark();
}

function mark() {
  if (!shown || !shown.head) return;
  const time = Math.min(video.currentTime || 0, shown.seconds);
  shown.head.setAttribute("x1", shown.x(time));
  shown.head.setAttribute("x2", shown.x(time));
  const told = shown.told, box = at("chart");
  let nearest = 0;
  told.starts.forEach((start, index) => {
    const off = (each) => Math.abs((told.starts[each] + told.ends[each]) / 2 - time);
    if (off(index) < off(nearest)) nearest = index;
  });
  const best = told.classes.reduce((a, b) => (b.probabilities[nearest] > a.probabilities[nearest] ? b : a));
  box.ariaValueMax = String(shown.seconds);
  box.ariaValueNow = time.toFixed(2);
  const known = told.complete || time <= told.ends.at(-1);
  box.ariaValueText = `${clock(time)}: ` +
    (known ? `${best.name}, ${percent(best.probabilities[nearest])}` : "cannot be read");
}

function seek(time) {
  if (!Number.isFinite(video.duration) && !video.readyState) return;
  video.currentTime = Math.max(0, Math.min(time, shown.seconds));
}

at("chart").addEventListener("pointerdown", (event) => {
  if (!shown) return;
  const box = at("chart").getBoundingClientRect();
  const share = (event.clientX - box.left - shown.left) / (box.width - shown.left - shown.right);
  seek(share * shown.seconds);
});
at("chart").addEventListener("keydown", (event) => {
  const step = shown && Math.max(shown.seconds / 100, 0.1);
  const to = {
    ArrowRight: video.currentTime + step, ArrowUp: video.currentTime + step,
    ArrowLeft: video.currentTime - step, ArrowDown: video.currentTime - step,
    Home: 0, End: shown && shown.seconds,
  }[event.key];
  if (to === undefined || !shown) return;
  event.preventDefault();
  seek(to);
});
for (const kind of ["timeupdate", "seeking", "seeked"]) video.addEventListener(kind, mark);
new ResizeObserver(redraw).observe(at("chart"));
