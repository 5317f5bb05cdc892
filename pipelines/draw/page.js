"use strict";
const $ = id => document.getElementById(id);
const form = $("form"), grid = $("grid"), large = $("large");
let about = null;     // what the server draws
let drawing = null;   // what stops the drawing that goes on
let shown = [];       // pictures that have come, in the order of the grid
let said = null;      // the wish they were drawn for, with the run's own settings filled in

// The form and the address are one: a drawing can be kept as a bookmark, and gone back to.
function fill(values) {
  for (const field of form.elements)
    if (field.name && values[field.name] != null) field.value = values[field.name];
}
function wish() {
  const asked = {};
  for (const field of form.elements)
    if (field.name && field.closest("[hidden]") === null)
      asked[field.name] = field.type === "number" ? field.valueAsNumber : field.value;
  return asked;
}
function fromAddress() {
  fill({ ...about.settings, prompt: "", ...Object.fromEntries(new URLSearchParams(location.search)) });
}

function fail(sentence) {
  $("error").textContent = sentence;
  $("error").hidden = !sentence;
}
function time(seconds) {
  const whole = Math.max(1, Math.ceil(seconds));
  return whole < 90 ? `${whole} s` : whole < 5400 ? `${Math.round(whole / 60)} min` : `${Math.round(whole / 3600)} h`;
}

// How far it is, between events by the clock.
const clock = {
  total: 0, drawn: 0, began: 0, estimate: null, timer: 0,
  start(event) {
    Object.assign(this, { total: event.candidates, drawn: 0, began: performance.now(), estimate: event.seconds });
    clearInterval(this.timer);
    this.timer = setInterval(() => this.show(), 250);
    this.show();
  },
  count() {
    this.drawn += 1;
    this.estimate = (performance.now() - this.began) / 1000 * this.total / this.drawn;
    this.show();
  },
  show() {
    const passed = (performance.now() - this.began) / 1000;
    let sentence = `${this.drawn} of ${this.total} drawn`;
    const bar = $("progress");
    bar.max = this.total;
    if (this.estimate === null) bar.removeAttribute("value");
    else {
      const next = Math.min(this.total, this.drawn + about.tile);
      bar.value = Math.max(this.drawn, Math.min(next, passed / this.estimate * this.total));
      if (this.drawn < this.total) sentence += `, about ${time(this.estimate - passed)} left`;
    }
    $("status").textContent = sentence;
  },
  stop() { clearInterval(this.timer); },
};

function places(count) {
  for (const picture of shown) URL.revokeObjectURL(picture.url);
  if ($("sheet").href) URL.revokeObjectURL($("sheet").href);
  shown = [];
  grid.replaceChildren(...Array.from({ length: count }, () => {
    const place = document.createElement("button"), frame = document.createElement("span"), score = document.createElement("span");
    place.type = "button"; place.className = "place"; place.disabled = true;
    frame.className = "frame"; score.className = "score";
    place.append(frame, score);
    return place;
  }));
}
function blob(base64) {
  const bytes = Uint8Array.from(atob(base64), letter => letter.charCodeAt(0));
  return URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
}

const heard = {
  waiting(event) {
    const ahead = event.ahead === 1 ? "1 drawing is before yours" : `${event.ahead} drawings are before yours`;
    $("status").textContent = ahead + (event.seconds === null ? "" : `, about ${time(event.seconds)}`);
    $("progress").removeAttribute("value");
  },
  started(event) {
    said = event.settings;
    $("notes").textContent = event.notes.join(" ");
    $("notes").hidden = event.notes.length === 0;
    clock.start(event);
  },
  picture(event) {
    const picture = { ...event, url: blob(event.png), place: grid.children[event.candidate] };
    delete picture.png;
    const image = new Image();
    image.src = picture.url;
    image.alt = `candidate ${event.candidate}`;
    picture.place.firstChild.append(image);
    picture.place.lastChild.textContent = event.score.toFixed(3);
    picture.place.disabled = false;
    picture.place.addEventListener("click", () => enlarge(shown.indexOf(picture)));
    shown.push(picture);
    clock.count();
  },
  done(event) {
    clock.stop();
    const open = large.open ? shown[current] : null;
    shown = event.ranking.map(number => shown.find(picture => picture.candidate === number));
    shown.forEach((picture, rank) => {
      picture.rank = rank;
      picture.place.classList.toggle("best", rank < said.top);
    });
    const kept = document.activeElement;
    grid.replaceChildren(...shown.map(picture => picture.place));
    if (grid.contains(kept)) kept.focus();
    if (open) enlarge(shown.indexOf(open));
    $("progress").value = $("progress").max = shown.length;
    $("status").textContent = `${shown.length} drawn in ${time(event.seconds)}, CLIP's favourites first.`;
    const link = $("sheet");
    link.href = blob(event.sheet);
    link.download = event.file;
    link.hidden = false;
  },
  failed(event) { throw new Error(event.error); },
};

// A network gives lines of JSON in any pieces.
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) yield JSON.parse(line);
  }
}

async function draw(asked) {
  const stop = drawing = new AbortController();
  let last = null;
  fail("");
  busy(true);
  try {
    const answer = await fetch("draw", {
      method: "POST", signal: stop.signal,
      headers: { "content-type": "application/json" }, body: JSON.stringify(asked),
    });
    if (!answer.ok) throw new Error((await answer.json()).error);
    places(asked.candidates);
    $("state").hidden = false;
    $("sheet").hidden = $("notes").hidden = true;
    for await (const event of events(answer.body)) {
      last = event.event;
      heard[last](event);
    }
    if (last !== "done") throw new TypeError();
  } catch (error) {
    clock.stop();
    if (error.name === "AbortError") $("status").textContent = `Stopped; ${shown.length} drawn.`;
    else {
      fail(error instanceof TypeError ? "The server cannot be reached; is it still running?" : error.message);
      if (shown.length === 0) { $("state").hidden = true; places(0); }
    }
    for (const place of [...grid.children]) if (place.disabled) place.remove();
  } finally {
    busy(false);
    drawing = null;
  }
}
function busy(is) {
  $("draw").hidden = is;
  $("stop").hidden = !is;
  document.body.classList.toggle("drawing", is);
}

let current = 0;
function enlarge(index) {
  const picture = shown[index];
  current = index;
  $("picture").src = picture.url;
  $("picture").alt = `${said.prompt}, candidate ${picture.candidate}`;
  $("words").textContent = said.prompt;
  const facts = {
    "CLIP score": picture.score.toFixed(4), place: picture.rank === undefined ? "not known yet" : `${picture.rank + 1} of ${shown.length}`,
    candidate: picture.candidate, seed: said.seed, temperature: said.temperature, "top-k": said.top_k, "top-p": said.top_p,
  };
  if (about.takes_guidance) facts.guidance = said.guidance;
  $("facts").replaceChildren(...Object.entries(facts).flatMap(([name, value]) => {
    const term = document.createElement("dt"), what = document.createElement("dd");
    term.textContent = name; what.textContent = value;
    return [term, what];
  }));
  $("save").href = picture.url;
  $("save").download = picture.file;
  $("before").disabled = index === 0;
  $("after").disabled = index === shown.length - 1;
  if (!large.open) large.showModal();
}
function step(by) { if (shown[current + by]) enlarge(current + by); }

form.addEventListener("submit", event => {
  event.preventDefault();
  if (drawing || !about) return;
  const asked = wish();
  if (!asked.prompt.trim()) {
    fail("Say what to draw.");
    return $("prompt").focus();
  }
  const address = `?${new URLSearchParams(asked)}`;
  if (address !== location.search) history.pushState(null, "", address);
  document.title = asked.prompt.trim().slice(0, 60);
  draw(asked);
});
$("prompt").addEventListener("keydown", event => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); form.requestSubmit(); }
});
$("stop").addEventListener("click", () => drawing?.abort());
$("dice").addEventListener("click", () => { form.elements.seed.value = crypto.getRandomValues(new Uint32Array(1))[0] % 1e6; });
$("before").addEventListener("click", () => step(-1));
$("after").addEventListener("click", () => step(1));
$("close").addEventListener("click", () => large.close());
large.addEventListener("click", event => { if (event.target === large) large.close(); });
large.addEventListener("keydown", event => { if (event.key === "ArrowLeft") step(-1); if (event.key === "ArrowRight") step(1); });
large.addEventListener("close", () => shown[current]?.place.focus());
addEventListener("popstate", fromAddress);

(async () => {
  try {
    about = await (await fetch("about")).json();
  } catch {
    return fail("The server cannot be reached; is it still running?");
  }
  form.elements.candidates.max = about.most.candidates;
  form.elements.top_k.max = about.codes;
  $("prompt").maxLength = about.most.letters;
  $("guidance").hidden = !about.takes_guidance;
  for (const part of [grid, $("picture")]) part.classList.toggle("crisp", about.side <= 96);
  fromAddress();
  $("draw").disabled = false;
  $("prompt").focus();
})();
