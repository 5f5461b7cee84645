"use strict";
// Whatever comes from a file or a model goes to the page as text, never as markup.
const at = (id) => document.getElementById(id);
const make = (tag, text, ...kinds) => {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (kinds.length) made.classList.add(...kinds);
  return made;
};
const show = (id, shown) => { at(id).hidden = !shown; };
const percent = (share) => {
  const value = 100 * share;
  return value > 0 && value < 0.1 ? "< 0.1 %" : `${value.toFixed(1)} %`;
};
const clock = (seconds) => {
  const whole = Math.floor(seconds), two = (n) => String(n).padStart(2, "0");
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
};
const lasting = (seconds) => seconds < 120 ? `${seconds} seconds` : `${+(seconds / 60).toFixed(1)} minutes`;
const STAGES = {
  waiting: "Waiting for its turn", reading: "Reading the video", predicting: "Predicting",
  timeline: "Going along the video", attention: "Looking at what the model looks at",
};

let limits = null, request = null, address = null;
const video = at("video"), clip = at("clip"), overlay = at("overlay");
const calm = matchMedia("(prefers-reduced-motion: reduce)");

function fail(message) {
  at("error").textContent = message;
  show("error", true);
  show("status", false);
  settle();
}

// Of what is neither answered nor played, there is nothing to see.
function settle() {
  if (!at("error").hidden && !at("unplayable").hidden) show("columns", false);
}

function progress(text, done, total) {
  show("status", true);
  if (at("stage").textContent !== text) at("stage").textContent = text;
  if (total > 0) { at("bar").max = total; at("bar").value = done; }
  else at("bar").removeAttribute("value");
}

function reset() {
  if (request) request.abort();
  request = null;
  for (const id of ["error", "status", "answer", "looks", "when"]) show(id, false);
  for (const player of [clip, overlay]) { player.pause(); player.removeAttribute("src"); player.load(); }
  at("notes").replaceChildren();
  at("facts").textContent = at("views").textContent = "";
}

function take(file) {
  reset();
  at("choose").classList.add("small");
  if (address) URL.revokeObjectURL(address);
  address = URL.createObjectURL(file);
  at("name").textContent = file.name;
  show("unplayable", false);
  show("video", true);
  video.src = address;
  show("columns", true);
  if (limits && file.size > limits.max_bytes) {
    fail(`This file has ${(file.size / 1e6).toFixed(1)} MB; at most ${limits.max_bytes / 1e6} MB are taken.`);
    return;
  }
  if (!file.size) { fail("This file is empty, or is a folder. Choose a video."); return; }
  send(file);
}

function send(file) {
  const asked = request = new XMLHttpRequest();
  let read = 0, ended = false;
  const take_lines = () => {
    let end;
    while ((end = asked.responseText.indexOf("\n", read)) >= 0) {
      const said = JSON.parse(asked.responseText.slice(read, end));
      read = end + 1;
      if (said.answer) { ended = true; show("status", false); answer(said.answer); }
      else if (said.error) { ended = true; fail(said.error.message); }
      else if (said.progress.stage === "waiting")
        progress(STAGES.waiting + (said.progress.total ? `: ${said.progress.total} before it` : ""), 0, 0);
      else if (STAGES[said.progress.stage])
        progress(STAGES[said.progress.stage], said.progress.done, said.progress.total);
    }
  };
  asked.open("POST", `/api/predict?name=${encodeURIComponent(file.name)}`);
  asked.setRequestHeader("Accept", "application/x-ndjson");
  asked.upload.onprogress = (event) => progress("Sending", event.loaded, event.total);
  asked.onprogress = () => { if (asked.status === 200) take_lines(); };
  asked.onload = () => {
    if (asked.status === 200) {
      take_lines();
      if (!ended) fail("The server broke off before its answer. Is it still running?");
      return;
    }
    let message = `The server answered ${asked.status}.`;
    try { message = JSON.parse(asked.responseText).error.message; } catch { /* no words of ours */ }
    fail(message);
  };
  asked.onerror = () => { if (!ended) fail("The server cannot be reached. Is it still running?"); };
  progress("Sending", 0, 0);
  asked.send(file);
}

function answer(said) {
  const rows = said.top.map((score) => {
    const item = make("li"), line = make("div", undefined, "row"), name = make("span", score.name);
    name.dir = "auto";
    line.append(name, make("span", percent(score.probability), "percent"));
    const track = make("div", undefined, "track"), fill = make("div", undefined, "fill");
    fill.style.width = `${100 * score.probability}%`;
    track.append(fill);
    item.append(line, track);
    return item;
  });
  at("top").replaceChildren(...rows);
  at("facts").textContent =
    `${clock(said.seconds)}, ${said.num_frames} frames at ${+said.fps.toFixed(2)} a second, ` +
    `${said.width} × ${said.height} pixels`;
  at("views").textContent = said.views_text;
  at("notes").replaceChildren(...said.notes.map((note) => make("li", note)));
  show("answer", true);
  if (said.attention) looks(said.attention);
  if (said.timeline) timeline(said.timeline, said.seconds);
}

function looks(told) {
  clip.src = told.clip_url;
  overlay.src = at("download").href = told.url;
  const most = Math.max(...told.weights);
  const bars = told.weights.map((weight, index) => {
    const bar = make("span");
    bar.style.height = `${most > 0 ? 100 * weight / most : 0}%`;
    bar.title = `${clock(told.times[index])}: ${percent(weight)}`;
    return bar;
  });
  at("frames").replaceChildren(...bars);
  at("frames").ariaLabel = told.weights.map((w, i) => `${clock(told.times[i])}: ${percent(w)}`).join(", ");
  at("first").textContent = clock(told.times[0]);
  at("last").textContent = clock(told.times.at(-1));
  at("method").textContent = told.method;
  show("looks", true);
  play(!calm.matches);
}

function play(on) {
  at("pause").textContent = on ? "Pause" : "Play";
  for (const player of [clip, overlay]) on ? player.play().catch(() => {}) : player.pause();
}

function follow() {
  const bars = at("frames").children, share = overlay.currentTime / overlay.duration;
  const now = Math.min(bars.length - 1, Math.floor(share * bars.length));
  for (let index = 0; index < bars.length; index++) bars[index].classList.toggle("now", index === now);
  // Two players drift apart, most of all where one of them begins anew.
  if (Math.abs(clip.currentTime - overlay.currentTime) > 0.08) clip.currentTime = overlay.currentTime;
  if (!at("looks").hidden) requestAnimationFrame(follow);
}
overlay.addEventListener("playing", () => requestAnimationFrame(follow));

at("pause").onclick = () => play(overlay.paused);
at("cancel").onclick = () => { reset(); fail("Cancelled."); };
at("file").onkeydown = (event) => { if (event.key === "Enter") { event.preventDefault(); at("file").click(); } };
at("file").onchange = (event) => {
  if (event.target.files.length) take(event.target.files[0]);
  event.target.value = "";  // so that the same file can be chosen again
};
video.addEventListener("error", () => { show("video", false); show("unplayable", true); settle(); });
for (const kind of ["dragover", "dragleave", "drop"]) addEventListener(kind, (event) => {
  event.preventDefault();
  at("zone").classList.toggle("over", kind === "dragover");
  if (kind === "drop" && event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
});

at("curl").textContent = `curl --data-binary @clip.mp4 ${location.origin}/api/predict`;
fetch("/api/model").then((got) => got.json()).then((told) => {
  limits = told.limits;
  const [height, width] = told.image_size;
  at("model").textContent =
    `${told.weights}: ${told.name}, ${told.scheme} attention, ${told.class_names.length} classes, ` +
    `clips of ${told.frames} frames of ${width} × ${height}`;
  document.title = `${told.weights} · vidtx`;
  at("bounds").textContent =
    `of any format, up to ${limits.max_bytes / 1e6} MB and ${lasting(limits.max_seconds)}`;
}).catch(() => fail("The server cannot be reached. Is it still running?"));
